"""Probes: YAML files in, cases out, or "path:line: what is wrong" for each mistake.

ranges.py        values that are drawn for each case
declarations.py  the keys of a file
cases.py         probes, their cases, and how each image is made
recipes.py       from declared images to recipes
loading.py       from files to probes
"""

from dps.probes.cases import Case, Probe
from dps.probes.declarations import Severity
from dps.probes.loading import BUILT_IN, NOTHING_TO_REPLACE, load, of_data

__all__ = ["BUILT_IN", "NOTHING_TO_REPLACE", "Case", "Probe", "Severity", "load", "of_data"]
