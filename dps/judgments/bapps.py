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
from typing import Annotated, Literal, TypeAlias

import numpy as np
import PIL.Image
import pydantic
from tqdm import tqdm

from dps.errors import JudgmentsError
from dps.judgments import shard_files
from dps.judgments.dataset import ALL, SHARD_SIZE, SIZE, Content, Dataset, Judged, Labels, Shard, shards_of

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

PAIRS_EXPECTED = range(4500, 5001)
"""The size of BAPPS's subsets of pairs is known roughly."""

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
    counts: dict[Literal["2afc", "jnd"], dict[str, Annotated[int, pydantic.Field(ge=1)]]]


BAPPS = Description.model_construct(
    name="bapps",
    about="BAPPS validation set (Zhang et al. 2018, arXiv:1801.03924), images resized to 64 x 64",
    counts={"2afc": dict(TRIPLETS), "jnd": dict.fromkeys(("traditional", "cnn"), 0)},  # 0: not known
)
"""A folder that does not describe itself."""

Names: TypeAlias = dict[str, list[str]]
"""The files of one subset by role (see `shard_files.ROLES`), without their suffix, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """The names of a folder's files.

    Attributes:
        description: the folder's, or `BAPPS`.
        subsets: the names, by kind and subset.
        faults: one line for everything that is wrong; nothing is wrong if empty.
        remarks: what is odd, but need not be wrong.
    """

    description: Description = BAPPS
    subsets: dict[tuple[str, str], Names] = field(default_factory=dict, repr=False)
    faults: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """Return how many triplets or pairs there are, by kind and subset, such as ``2afc/cnn``."""
        return {f"{kind}/{subset}": max(map(len, names.values())) for (kind, subset), names in self.subsets.items()}


def index_of(folder: Path, kinds: Sequence[str] = tuple(shard_files.ROLES)) -> Index:
    """List the files of a folder, of some kinds, and what is wrong with their names and number; no file is opened."""
    if not folder.is_dir():
        return Index(faults=[f"{folder}: no such folder."])
    try:
        index = Index(description=_description_of(folder))
    except JudgmentsError as error:
        return Index(faults=[str(error)])
    name, counts = index.description.name, index.description.counts
    if not any((folder / kind).is_dir() for kind in kinds):
        parts = " or ".join(f"{kind}/{SPLIT}" for kind in kinds)
        index.faults.append(f"{folder}: not a BAPPS folder, there is no {parts} in it.")
        return index
    for kind in kinds:
        expected: dict[str, int] = counts.get(kind, {})  # type: ignore[call-overload]
        for subset in dict.fromkeys([*expected, *_entries(folder / kind / SPLIT)]):
            root = folder / kind / SPLIT / subset
            if subset not in expected:
                index.faults.append(f"{root}: not a subset of {name}, which has {', '.join(expected)}.")
            elif not root.is_dir():
                index.faults.append(f"{root}: is missing.")
            else:
                names, faults = _names_in(root, kind)
                count = max(map(len, names.values()))
                index.subsets[kind, subset] = names
                index.faults.extend(faults)
                if not faults and expected[subset] not in (0, count):
                    index.faults.append(f"{root}: {count} of {expected[subset]} that {name} has.")
                if expected[subset] == 0 and count not in PAIRS_EXPECTED:
                    index.remarks.append(
                        f"{root}: {count} pairs, where {PAIRS_EXPECTED[0]} to {PAIRS_EXPECTED[-1]} are expected; the "
                        "exact number is not known here."
                    )
    return index


def resembles(folder: Path) -> bool:
    """Return whether a folder has a part of BAPPS's layout, is one, or describes itself."""
    parts = (DESCRIPTION, SPLIT, *shard_files.ROLES)
    return folder.name in parts or any((folder / name).exists() for name in parts)


def _description_of(folder: Path) -> Description:
    path = folder / DESCRIPTION
    if not path.is_file():
        return BAPPS
    try:
        return Description.model_validate_json(path.read_bytes())
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise JudgmentsError(f"{path}: {where + ': ' if where else ''}{fault['msg']}.") from None
    except OSError as error:
        raise JudgmentsError(f"{path}: cannot be read ({error.strerror}).") from None


def _names_in(root: Path, kind: str) -> tuple[Names, list[str]]:
    """Return the files of one subset by role, and what is wrong with them."""
    names: Names = {}
    faults = []
    for role, suffix in shard_files.ROLES[kind].items():
        entries = _entries(root / role)
        names[role] = [name.removesuffix(suffix) for name in entries if name.endswith(suffix)]
        faults += [
            f"{root / role / name}: does not belong here; {suffix} files do."
            for name in entries
            if not name.endswith(suffix)
        ]
        if not names[role]:
            faults.append(f"{root / role}: {'is empty' if (root / role).is_dir() else 'is missing'}.")
    everything = set().union(*names.values())
    for role, suffix in shard_files.ROLES[kind].items():
        if names[role] and (missing := sorted(everything.difference(names[role]))):
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            faults.append(
                f"{root / role}: {len(names[role])} files, but {len(everything)} names in its neighbors; "
                f"missing: {', '.join(name + suffix for name in missing[:3])}{more}."
            )
    return names, faults


def _entries(folder: Path) -> list[str]:
    """Return the names in a folder, sorted, without hidden ones; none if there is no folder."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208 - three times as fast
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise JudgmentsError(f"{folder}: cannot be read ({error.strerror}).") from None


def read(folder: Path) -> Dataset:
    """Index a BAPPS folder; images and judgments are read shard by shard, see `shard_files`.

    Raises:
        JudgmentsError: a folder is missing or empty, names do not match, or there are more or fewer triplets than
            BAPPS, or the folder's own description, has.
    """
    index = index_of(folder)
    description = index.description
    if index.faults:
        more = f" ({len(index.faults) - 1} more: dps bapps verify {folder})" if len(index.faults) > 1 else ""
        advice = f" Get BAPPS with: dps bapps fetch {folder}" if description is BAPPS else ""
        if (folder / SPLIT).is_dir() or folder.name in (*shard_files.ROLES, SPLIT):
            advice = " Name the folder above, the one that holds 2afc and jnd."
        raise JudgmentsError(f"{index.faults[0]}{more}{advice}")
    shards: list[Shard] = []
    for (kind, subset), roles in index.subsets.items():
        names = next(iter(roles.values()))
        what = folder / kind / SPLIT / subset, kind, names
        look, read = functools.partial(_look, *what), functools.partial(_read, *what)
        shards += shards_of(kind, subset, len(names), look, read)
    whole = description is BAPPS
    return Dataset(
        name=description.name,
        about=description.about,
        shards=tuple(shards),
        groups=GROUPS if whole else {ALL: tuple(description.counts["2afc"])},
        judges="human" if whole else "judges",
        title="Agreement with people, on BAPPS"
        if whole
        else f"Scores on {description.name} data, which say nothing about agreement with people",
        preprocessing=shard_files.preprocessing(SIZE),
    )


def _rows(root: Path, kind: str, names: Sequence[str], span: range) -> list[Judged]:
    """Return some triplets or pairs of a subset, by the names of their files without suffix."""
    rows = []
    for name in names[span.start : span.stop]:
        original, *compared, judgment = (
            f"{root}/{role}/{name}{suffix}" for role, suffix in shard_files.ROLES[kind].items()
        )
        rows.append(Judged(original=original, compared=tuple(compared), judgment=judgment))
    return rows


def _look(root: Path, kind: str, names: Sequence[str], span: range) -> Labels:
    return shard_files.look(_rows(root, kind, names, span), kind, SIZE)


def _read(root: Path, kind: str, names: Sequence[str], span: range) -> Content:
    return shard_files.read(_rows(root, kind, names, span), kind, SIZE)


def verify(folder: Path) -> Index:
    """Count everything, open every image and check every judgment, and add the faults; a terminal shows progress."""
    index = index_of(folder)
    paths = [
        folder / kind / SPLIT / subset / role / (name + suffix)
        for (kind, subset), names in index.subsets.items()
        for role, suffix in shard_files.ROLES[kind].items()
        for name in names[role]
    ]
    for path in tqdm(paths, desc=f"verifying {folder}", unit=" files", disable=None):
        try:
            shard_files.check(path)
        except JudgmentsError as error:
            index.faults.append(str(error))
    return index


def write(dataset: Dataset, folder: Path) -> None:
    """Write a data set, not BAPPS itself, as a folder with a description of its own, whole or not at all.

    Raises:
        JudgmentsError: the folder holds something, or cannot be written.
    """
    if dataset.name == BAPPS.name:
        raise JudgmentsError("BAPPS itself is not written; copy its folder.")
    folder = folder.absolute()
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise JudgmentsError(f"{folder}: is there and not empty; name a new folder.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            complete = Path(temporary) / "complete"
            complete.mkdir()
            _write_files(dataset, complete)
            complete.replace(folder)
    except OSError as error:
        raise JudgmentsError(f"{folder}: cannot be written ({error.strerror}).") from None


def _write_files(dataset: Dataset, folder: Path) -> None:
    for shard in tqdm(dataset.shards, desc=f"writing {dataset.name}", unit=" shards", disable=None):
        *images, judgments = (
            folder / shard.kind / SPLIT / shard.subset / role for role in shard_files.ROLES[shard.kind]
        )
        for place in (*images, judgments):
            place.mkdir(parents=True, exist_ok=True)
        content = shard.read()
        for number, (stack, judgment) in enumerate(
            zip(content.images, content.labels.judgments, strict=True), shard.number * SHARD_SIZE
        ):
            for place, pixels in zip(images, stack, strict=True):
                PIL.Image.fromarray(pixels).save(place / f"{number:06d}.png")
            np.save(judgments / f"{number:06d}.npy", np.array([judgment]), allow_pickle=False)
    description = Description.model_validate(
        {"name": dataset.name, "about": dataset.about, "counts": {k: c for k, c in dataset.counts.items() if c}}
    )
    (folder / DESCRIPTION).write_text(description.model_dump_json(indent=1) + "\n", encoding="utf-8")
