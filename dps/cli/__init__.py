"""The ``dps`` command: what is there, what is asked, and one pair at a time. The suites are pytest's.

setting_up.py  weights, metrics
asking.py      probes
people.py      bapps, measure, store
looking.py     distance, explain, falsify
reporting.py   report
shared.py      how commands end, and the options that many take
"""

from dps.cli import asking, looking, people, reporting, setting_up  # noqa: F401 - each adds its commands
from dps.cli.shared import main

__all__ = ["main"]
