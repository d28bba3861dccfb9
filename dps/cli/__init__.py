"""The ``dps`` command.

testing.py      test
resources.py    weights, networks, metrics
probe_files.py  probes
inspection.py   distance, explain
people.py       judgments, bapps, measure, store
reporting.py    report
paper.py        paper
tuning.py       tune
shared.py       exit codes, and options that several commands take
"""

from dps.cli import inspection, paper, people, probe_files, reporting, resources, testing, tuning  # noqa: F401 - they add their commands
from dps.cli.shared import main

__all__ = ["main"]
