"""Probes: cases that YAML files declare. Every mistake is reported as "path:line: message".

ranges.py        values that are drawn for each case
declarations.py  the keys of a probe file
cases.py         probes, their cases, and the recipes of images
recipes.py       validation of declared images
loading.py       from files to probes
"""

from dps.probes.cases import Case, Probe
from dps.probes.declarations import Severity
from dps.probes.loading import BUILT_IN, NOTHING_TO_REPLACE, from_data, load

__all__ = ["BUILT_IN", "NOTHING_TO_REPLACE", "Case", "Probe", "Severity", "from_data", "load"]
