"""Folders in the layout of BAPPS: their expected and actual content.

``DIR/2afc/val/SUBSET/{ref,p0,p1}/*.png`` with ``judge/*.npy``, ``DIR/jnd/val/SUBSET/{p0,p1}/*.png`` with
``same/*.npy``; the files of one triplet or pair share a name. A folder in this layout that is not BAPPS contains a file
`DESCRIPTION` with its name and its numbers of triplets and pairs; the name is never ``bapps``.
"""

import functools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pydantic
from tqdm import tqdm

from dps.errors import JudgmentsError
from dps.judgments import shard_files
from dps.judgments.dataset import ALL, SIZE, Content, Dataset, JudgedFiles, Shard, shards_of
from dps.judgments.shard_files import ROLES
from dps.judgments.studies import abbreviated

DESCRIPTION = "dps-dataset.json"

SPLIT = "val"
"""The validation split, the only one that is used."""

TRIPLETS: Mapping[str, int] = {
    "traditional": 4720,
    "cnn": 4720,
    "superres": 10856,
    "deblur": 9440,
    "color": 4720,
    "frameinterp": 1888,
}
"""Number of validation triplets in each subset of BAPPS, 36,344 in all."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "distortions": ("traditional", "cnn"),
    "real": ("superres", "deblur", "color", "frameinterp"),
    "all": tuple(TRIPLETS),
}
"""The "All" columns of the paper's Table 2."""


def _check_not_bapps(name: str) -> str:
    if name == "bapps":
        raise ValueError("a folder with its own description is not BAPPS; choose another name")
    return name


class Description(pydantic.BaseModel):
    """Description of a folder; `counts` are of triplets or pairs, by kind and subset."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)

    dps_dataset: Literal[1] = 1
    name: Annotated[str, pydantic.Field(min_length=1), pydantic.AfterValidator(_check_not_bapps)]
    about: str
    counts: dict[str, dict[str, Annotated[int, pydantic.Field(ge=1)]]]


BAPPS = Description.model_construct(
    name="bapps",
    about="BAPPS validation set (Zhang et al. 2018, arXiv:1801.03924), images resized to 64 x 64",
    counts={"2afc": dict(TRIPLETS), "jnd": dict.fromkeys(("traditional", "cnn"), 0)},  # 0: unknown
)
"""Description of folders without a file `DESCRIPTION`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The files of a folder.

    Attributes:
        names: of the triplets or pairs, which are their files' names without suffix, by kind and subset.
        faults: one line for each fault; empty for a valid folder.
    """

    description: Description = BAPPS
    names: dict[tuple[str, str], list[str]] = field(default_factory=dict, repr=False)
    faults: list[str] = field(default_factory=list)


def index_of(folder: Path, kinds: Sequence[str] = tuple(ROLES)) -> Index:
    """List the files of some kinds, with faults in their names and number; no file is opened."""
    if not folder.is_dir():
        return Index(faults=[f"{folder}: no such folder."])
    try:
        path = folder / DESCRIPTION
        description = Description.model_validate_json(path.read_bytes()) if path.exists() else BAPPS
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        return Index(faults=[f"{path}: {': '.join([*map(str, fault['loc']), fault['msg']])}."])
    index = Index(description=description)
    if not any((folder / kind).is_dir() for kind in kinds):
        parts = " or ".join(f"{kind}/{SPLIT}" for kind in kinds)
        index.faults.append(f"{folder}: not a BAPPS folder: it contains no {parts}.")
        return index
    for kind in kinds:
        expected = description.counts.get(kind, {})
        for subset in dict.fromkeys([*expected, *_entries(folder / kind / SPLIT)]):
            root = folder / kind / SPLIT / subset
            if subset not in expected:
                index.faults.append(f"{root}: not a subset of {description.name}, which has {', '.join(expected)}.")
                continue
            names, faults = _names_in(root, kind)
            index.names[kind, subset] = names
            if not faults and expected[subset] not in (0, len(names)):
                noun = "triplets" if kind == "2afc" else "pairs"
                faults = [f"{root}: {len(names)} of the {expected[subset]} {noun} of {description.name}."]
            index.faults.extend(faults)
    return index


def resembles(folder: Path) -> bool:
    """Return whether a folder contains, or is, a part of BAPPS's layout, or has a `DESCRIPTION`."""
    parts = (DESCRIPTION, SPLIT, *ROLES)
    return folder.name in parts or any((folder / name).exists() for name in parts)


def _names_in(root: Path, kind: str) -> tuple[list[str], list[str]]:
    """Return the names of the triplets or pairs of one subset, sorted, and its faults."""
    files = {role: _entries(root / role) for role in ROLES[kind]}
    if not any(files.values()):
        return [], [f"{root}: missing or empty."]
    names = sorted(
        {file.removesuffix(s) for role, s in ROLES[kind].items() for file in files[role] if file.endswith(s)}
    )
    faults = []
    for role, suffix in ROLES[kind].items():
        expected = dict.fromkeys(name + suffix for name in names)
        unexpected = [file for file in files[role] if file not in expected]
        faults += [f"{root / role / file}: unexpected, only {suffix} files belong here." for file in unexpected]
        present = set(files[role])
        if missing := [file for file in expected if file not in present]:
            number = len(expected) - len(missing)
            faults.append(f"{root / role}: {number} of {len(expected)} files; missing: {abbreviated(missing)}.")
    return names, faults


def _entries(folder: Path) -> list[str]:
    """Return the names in a folder, sorted, without hidden ones; none if the folder does not exist."""
    if not folder.is_dir():
        return []
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208 - three times as fast
    except OSError as error:
        raise JudgmentsError(f"{folder}: cannot be read ({error.strerror}).") from None


def read(folder: Path) -> Dataset:
    """Index a folder; images and judgments are read shard by shard, see `shard_files`.

    Raises:
        JudgmentsError: a folder is missing or empty, names do not match, or the numbers of triplets or pairs are not
            those of BAPPS or of the folder's `DESCRIPTION`.
    """
    index = index_of(folder)
    description = index.description
    is_bapps = description is BAPPS
    if index.faults:
        more = f" ({len(index.faults) - 1} more: dps bapps verify {folder})" if len(index.faults) > 1 else ""
        advice = f" Get BAPPS with: dps bapps fetch {folder}" if is_bapps else ""
        if (folder / SPLIT).is_dir() or folder.name in (*ROLES, SPLIT):
            advice = " Pass the folder that contains 2afc and jnd."
        raise JudgmentsError(f"{index.faults[0]}{more}{advice}")
    shards: list[Shard] = []
    for (kind, subset), names in index.names.items():
        load = functools.partial(_load, folder / kind / SPLIT / subset, kind, names)
        shards += shards_of(kind, subset, len(names), load)
    subsets = tuple(description.counts.get("2afc", ()))
    return Dataset(
        name=description.name,
        about=description.about,
        shards=tuple(shards),
        groups=GROUPS if is_bapps else {ALL: subsets} if subsets else {},
        judges="human" if is_bapps else "judges",
        title="Agreement with people, on BAPPS" if is_bapps else "",
        preprocessing=shard_files.preprocessing(SIZE),
    )


def _load(root: Path, kind: str, names: Sequence[str], span: range, decode: bool) -> Content:
    rows = []
    for name in names[span.start : span.stop]:
        original, *compared, judgment = (f"{root}/{role}/{name}{suffix}" for role, suffix in ROLES[kind].items())
        rows.append(JudgedFiles(original=original, compared=tuple(compared), judgment=judgment))
    return shard_files.load(rows, kind, SIZE, decode)


def verify(folder: Path) -> Index:
    """Index a folder, read every image and judgment, and add the faults; a terminal shows progress."""
    index = index_of(folder)
    paths = [
        folder / kind / SPLIT / subset / role / (name + suffix)
        for (kind, subset), names in index.names.items()
        for role, suffix in ROLES[kind].items()
        for name in names
    ]
    for path in tqdm(paths, desc=f"verifying {folder}", unit=" files", disable=None):
        try:
            if path.exists():  # missing files are faults already
                shard_files.check(path)
        except JudgmentsError as error:
            index.faults.append(str(error))
    return index
