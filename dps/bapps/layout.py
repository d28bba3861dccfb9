"""The layout of a BAPPS folder: what it must hold, what it does hold by name, and what is wrong with that.

``DIR/2afc/val/SUBSET/{ref,p0,p1}/*.png`` with ``judge/*.npy``, ``DIR/jnd/val/SUBSET/{p0,p1}/*.png`` with
``same/*.npy``; the files of one triplet or pair have one name. A folder of another size than BAPPS has a file of its
own, `DESCRIPTION`, that says what it is and how much it should hold; it is never called ``bapps``.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import pydantic

from dps.bapps.dataset import KINDS
from dps.errors import BappsError

DESCRIPTION = "dps-dataset.json"
"""Beside ``2afc`` and ``jnd`` in a folder that is not BAPPS: its name, and how much it holds."""

SPLIT = "val"
"""Validation, the only part that is needed."""

IMAGES: Mapping[str, tuple[str, ...]] = {"2afc": ("ref", "p0", "p1"), "jnd": ("p0", "p1")}
"""The folders of each kind for the original and what is compared with it."""

JUDGMENTS: Mapping[str, str] = {"2afc": "judge", "jnd": "same"}
"""The folder of each kind for the judgments."""

Counts: TypeAlias = dict[str, dict[str, int]]
"""Numbers of triplets or pairs, by kind and subset."""

TRIPLETS: Mapping[str, int] = {
    "traditional": 4720,
    "cnn": 4720,
    "superres": 10856,
    "deblur": 9440,
    "color": 4720,
    "frameinterp": 1888,
}
"""BAPPS's validation triplets, 36,344 in all."""

PAIRS = ("traditional", "cnn")
"""BAPPS's subsets of pairs; their sizes are known roughly."""

PAIRS_EXPECTED = range(4500, 5001)

GROUPS: Mapping[str, tuple[str, ...]] = {
    "distortions": ("traditional", "cnn"),
    "real": ("superres", "deblur", "color", "frameinterp"),
    "all": tuple(TRIPLETS),
}
"""The "All" columns of the paper's Table 2."""


def _check_not_bapps(name: str) -> str:
    if name == "bapps":
        raise ValueError("a folder with a description of its own is not BAPPS; give it another name")
    return name


class Description(pydantic.BaseModel):
    """A folder's description of itself.

    Attributes:
        dps_dataset: version of this form.
        name: as results call it.
        about: what a reader of results has to know.
        counts: how many triplets or pairs it holds, by kind and subset.
    """

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)

    dps_dataset: Literal[1] = 1
    name: Annotated[str, pydantic.Field(min_length=1), pydantic.AfterValidator(_check_not_bapps)]
    about: str
    counts: dict[Literal["2afc", "jnd"], dict[str, Annotated[int, pydantic.Field(ge=1)]]]


BAPPS = Description.model_construct(
    name="bapps",
    about="BAPPS validation set (Zhang et al. 2018, arXiv:1801.03924), images resized to 64 x 64",
    counts={"2afc": dict(TRIPLETS), "jnd": dict.fromkeys(PAIRS, 0)},  # 0: not known
)
"""A folder that does not describe itself."""

Names: TypeAlias = dict[str, list[str]]
"""The files of one subset by role, without their suffix, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The names of a folder's files.

    Attributes:
        description: the folder's, or `BAPPS`.
        subsets: the names, by kind and subset.
        faults: one line for everything that is wrong; nothing is wrong if empty.
    """

    description: Description
    subsets: dict[tuple[str, str], Names] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def index_of(folder: Path, kinds: Sequence[str] = tuple(KINDS)) -> Index:
    """List what a folder holds, and what is missing or too much; no image or judgment is opened.

    Args:
        folder: the one that holds ``2afc`` and ``jnd``.
        kinds: the parts of it.
    """
    if not folder.is_dir():
        return Index(description=BAPPS, faults=[f"{folder}: no such folder."])
    try:
        description = _description_of(folder)
    except BappsError as error:
        return Index(description=BAPPS, faults=[str(error)])
    if not any((folder / kind).is_dir() for kind in kinds):
        parts = " or ".join(f"{kind}/{SPLIT}" for kind in kinds)
        return Index(description=description, faults=[f"{folder}: not a BAPPS folder, there is no {parts} in it."])
    index = Index(description=description)
    for kind in kinds:
        expected: dict[str, int] = description.counts.get(kind, {})  # type: ignore[call-overload]
        for subset in [*expected, *(name for name in _entries(folder / kind / SPLIT) if name not in expected)]:
            root = root_of(folder, kind, subset)
            if subset not in expected:
                index.faults.append(f"{root}: not a subset of {description.name}, which has {', '.join(expected)}.")
            elif not root.is_dir():
                index.faults.append(f"{root}: is missing.")
            else:
                names, faults = _names_in(root, kind)
                count = max(map(len, names.values()))
                if not faults and expected[subset] not in (0, count):
                    faults.append(f"{root}: {count} of {expected[subset]} that {description.name} has.")
                index.subsets[kind, subset] = names
                index.faults.extend(faults)
    return index


def faults_of(folder: Path, kind: str) -> list[str]:
    """Return what is missing or too much in one part of a folder."""
    return index_of(folder, kinds=(kind,)).faults


def roles_of(kind: str) -> dict[str, str]:
    """Return every folder of a kind, with the ending of its files' names."""
    return {**dict.fromkeys(IMAGES[kind], ".png"), JUDGMENTS[kind]: ".npy"}


def root_of(folder: Path, kind: str, subset: str) -> Path:
    """Return the folder of a subset."""
    return folder / kind / SPLIT / subset


def _description_of(folder: Path) -> Description:
    path = folder / DESCRIPTION
    if not path.is_file():
        return BAPPS
    try:
        return Description.model_validate_json(path.read_bytes())
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise BappsError(f"{path}: {where + ': ' if where else ''}{fault['msg']}.") from None
    except OSError as error:
        raise BappsError(f"{path}: cannot be read ({error.strerror}).") from None


def _names_in(root: Path, kind: str) -> tuple[Names, list[str]]:
    """Return the files of one subset by role, and what is wrong with them."""
    roles = roles_of(kind)
    names: Names = {role: [] for role in roles}
    present = [role for role in roles if (root / role).is_dir()]
    faults = [
        f"{root}: has {', '.join(present) or 'none of its folders'}, but no {role}."
        for role in roles
        if role not in present
    ]
    for role in present:
        for name in _entries(root / role):
            stem, suffix = os.path.splitext(name)  # noqa: PTH122 - of a name, a hundred thousand times
            if suffix.lower() == roles[role] and suffix.islower():
                names[role].append(stem)
            else:
                faults.append(f"{root / role / name}: does not belong here; {roles[role]} files do.")
        if not names[role]:
            faults.append(f"{root / role}: is empty.")
    everything = sorted(set().union(*names.values()))
    for role in present:
        if names[role] and len(names[role]) != len(everything):
            missing = sorted(set(everything) - set(names[role]))
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            faults.append(
                f"{root / role}: {len(names[role])} files, but {len(everything)} names in its neighbors; "
                f"missing: {', '.join(name + roles[role] for name in missing[:3])}{more}."
            )
    return names, faults


def _entries(folder: Path) -> list[str]:
    """Return the names in a folder, sorted, without hidden ones; none if there is no folder."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208 - three times as fast
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise BappsError(f"{folder}: cannot be read ({error.strerror}).") from None
