"""Folders of BAPPS's layout: what one must hold, what it does hold by name, and what is wrong with that.

``DIR/2afc/val/SUBSET/{ref,p0,p1}/*.png`` with ``judge/*.npy``, ``DIR/jnd/val/SUBSET/{p0,p1}/*.png`` with
``same/*.npy``; the files of one triplet or pair have one name. A folder of another size than BAPPS has a file of its
own, `DESCRIPTION`, that says what it is and how much it should hold; it is never called ``bapps``.
"""

import functools
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import PIL.Image
import pydantic
from tqdm import tqdm

from dps.errors import JudgmentsError
from dps.judgments import shard_files
from dps.judgments.dataset import ALL, SHARD_SIZE, SIZE, Content, Dataset, Judged, Shard, shards_of
from dps.judgments.shard_files import ROLES
from dps.judgments.studies import some

DESCRIPTION = "dps-dataset.json"
"""Beside ``2afc`` and ``jnd`` in a folder that is not BAPPS: its name, and how much it holds."""

SPLIT = "val"
"""Validation, the only part that is needed."""

TRIPLETS: Mapping[str, int] = {
    "traditional": 4720,
    "cnn": 4720,
    "superres": 10856,
    "deblur": 9440,
    "color": 4720,
    "frameinterp": 1888,
}
"""BAPPS's validation triplets, 36,344 in all."""

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
    """A folder's description of itself; `counts` are of triplets or pairs, by kind and subset."""

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)

    dps_dataset: Literal[1] = 1
    name: Annotated[str, pydantic.Field(min_length=1), pydantic.AfterValidator(_check_not_bapps)]
    about: str
    counts: dict[str, dict[str, Annotated[int, pydantic.Field(ge=1)]]]


BAPPS = Description.model_construct(
    name="bapps",
    about="BAPPS validation set (Zhang et al. 2018, arXiv:1801.03924), images resized to 64 x 64",
    counts={"2afc": dict(TRIPLETS), "jnd": dict.fromkeys(("traditional", "cnn"), 0)},  # 0: not known
)
"""A folder that does not describe itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The files of a folder.

    Attributes:
        description: the folder's, or `BAPPS`.
        names: those of the triplets or pairs, which are those of their files without suffix, by kind and subset.
        faults: one line for everything that is wrong; nothing is wrong if empty.
    """

    description: Description = BAPPS
    names: dict[tuple[str, str], list[str]] = field(default_factory=dict, repr=False)
    faults: list[str] = field(default_factory=list)


def index_of(folder: Path, kinds: Sequence[str] = tuple(ROLES)) -> Index:
    """List the files of a folder, of some kinds, and what is wrong with their names and number; no file is opened."""
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
        index.faults.append(f"{folder}: not a BAPPS folder, there is no {parts} in it.")
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
                faults = [f"{root}: {len(names)} of {expected[subset]} that {description.name} has."]
            index.faults.extend(faults)
    return index


def resembles(folder: Path) -> bool:
    """Return whether a folder has a part of BAPPS's layout, is one, or describes itself."""
    parts = (DESCRIPTION, SPLIT, *ROLES)
    return folder.name in parts or any((folder / name).exists() for name in parts)


def _names_in(root: Path, kind: str) -> tuple[list[str], list[str]]:
    """Return the names of one subset, sorted, and what is wrong with its files."""
    found = {role: _entries(root / role) for role in ROLES[kind]}
    if not any(found.values()):
        return [], [f"{root}: is missing, or empty."]
    names = sorted({name.removesuffix(s) for r, s in ROLES[kind].items() for name in found[r] if name.endswith(s)})
    faults = []
    for role, suffix in ROLES[kind].items():
        expected = dict.fromkeys(name + suffix for name in names)
        odd = [name for name in found[role] if name not in expected]
        faults += [f"{root / role / name}: does not belong here; {suffix} files do." for name in odd]
        if missing := [name for name in expected if name not in set(found[role])]:
            there = f"{len(expected) - len(missing)} files, but {len(expected)} names in its neighbors"
            faults.append(f"{root / role}: {there}; missing: {some(missing)}.")
    return names, faults


def _entries(folder: Path) -> list[str]:
    """Return the names in a folder, sorted, without hidden ones; none if there is no folder."""
    if not folder.is_dir():
        return []
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208 - three times as fast
    except OSError as error:
        raise JudgmentsError(f"{folder}: cannot be read ({error.strerror}).") from None


def read(folder: Path) -> Dataset:
    """Index a BAPPS folder; images and judgments are read shard by shard, see `shard_files`.

    Raises:
        JudgmentsError: a folder is missing or empty, names do not match, or there are more or fewer triplets than
            BAPPS, or the folder's own description, has.
    """
    index = index_of(folder)
    about = index.description
    whole = about is BAPPS
    if index.faults:
        more = f" ({len(index.faults) - 1} more: dps bapps verify {folder})" if len(index.faults) > 1 else ""
        advice = f" Get BAPPS with: dps bapps fetch {folder}" if whole else ""
        if (folder / SPLIT).is_dir() or folder.name in (*ROLES, SPLIT):
            advice = " Name the folder above, the one that holds 2afc and jnd."
        raise JudgmentsError(f"{index.faults[0]}{more}{advice}")
    shards: list[Shard] = []
    for (kind, subset), names in index.names.items():
        load = functools.partial(_load, folder / kind / SPLIT / subset, kind, names)
        shards += shards_of(kind, subset, len(names), load)
    return Dataset(
        name=about.name,
        about=about.about,
        shards=tuple(shards),
        groups=GROUPS if whole else {ALL: tuple(about.counts["2afc"])},
        judges="human" if whole else "judges",
        title="Agreement with people, on BAPPS"
        if whole
        else f"Scores on {about.name} data, which say nothing about agreement with people",
        preprocessing=shard_files.preprocessing(SIZE),
    )


def _load(root: Path, kind: str, names: Sequence[str], span: range, decode: bool) -> Content:
    rows = []
    for name in names[span.start : span.stop]:
        original, *compared, judgment = (f"{root}/{role}/{name}{suffix}" for role, suffix in ROLES[kind].items())
        rows.append(Judged(original=original, compared=tuple(compared), judgment=judgment))
    return shard_files.load(rows, kind, SIZE, decode)


def verify(folder: Path) -> Index:
    """Count everything, open every image and check every judgment, and add the faults; a terminal shows progress."""
    index = index_of(folder)
    paths = [
        folder / kind / SPLIT / subset / role / (name + suffix)
        for (kind, subset), names in index.names.items()
        for role, suffix in ROLES[kind].items()
        for name in names
    ]
    for path in tqdm(paths, desc=f"verifying {folder}", unit=" files", disable=None):
        try:
            if path.exists():  # else it is a fault already
                shard_files.check(path)
        except JudgmentsError as error:
            index.faults.append(str(error))
    return index


def write(dataset: Dataset, folder: Path) -> None:
    """Write a drawn data set as a folder with a description of its own, whole or not at all.

    Raises:
        JudgmentsError: the folder holds something, or cannot be written.
    """
    folder = folder.absolute()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            complete = Path(temporary) / "complete"
            for shard in tqdm(dataset.shards, desc=f"writing {dataset.name}", unit=" shards", disable=None):
                _write_shard(shard, complete / shard.kind / SPLIT / shard.subset)
            counts = {kind: counts for kind, counts in dataset.counts.items() if counts}
            description = Description(name=dataset.name, about=dataset.about, counts=counts)
            text = description.model_dump_json(indent=1) + "\n"
            (complete / DESCRIPTION).write_text(text, encoding="utf-8")
            complete.replace(folder)  # which fails where something is in it
    except OSError as error:
        raise JudgmentsError(f"{folder}: cannot be written ({error.strerror}); name a new folder.") from None


def _write_shard(shard: Shard, root: Path) -> None:
    *images, judgments = (root / role for role in ROLES[shard.kind])
    for place in (*images, judgments):
        place.mkdir(parents=True, exist_ok=True)
    content = shard.read()
    rows = zip(content.images, content.labels.judgments, strict=True)
    for number, (stack, judgment) in enumerate(rows, shard.number * SHARD_SIZE):
        for place, pixels in zip(images, stack, strict=True):
            PIL.Image.fromarray(pixels).save(place / f"{number:06d}.png")
        np.save(judgments / f"{number:06d}.npy", np.array([judgment]), allow_pickle=False)
