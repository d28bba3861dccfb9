"""A BAPPS folder: reading it, verifying every file of it, writing one.

``DIR/2afc/val/SUBSET/{ref,p0,p1}/*.png`` with ``judge/*.npy``, ``DIR/jnd/val/SUBSET/{p0,p1}/*.png`` with
``same/*.npy``; what belongs together has one name. A folder of another size than BAPPS says what it is and how much
it should hold in a file of its own, `DESCRIPTION`; it is never called ``bapps``.
"""

import functools
import io
import json
import os
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import numpy as np
import PIL.Image
import pydantic
from numpy.typing import NDArray
from tqdm import tqdm

from dps.bapps.dataset import KINDS, SIZE, Content, Dataset, Digest, Labels, Shard, spans
from dps.errors import BappsError, one_line

DESCRIPTION = "dps-dataset.json"
"""Beside ``2afc`` and ``jnd`` in a folder that is not BAPPS: its name, and how much it holds."""

SPLIT = "val"
"""Validation, the only part that is needed."""

PREPROCESSING = f"RGB, Pillow bilinear to {SIZE} x {SIZE}"
"""What is done to each image file, and so what distances depend on beside its bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How BAPPS names the folders of one kind: of the original and what is compared, and of the judgments."""

    images: tuple[str, ...]
    judgments: str

    @property
    def roles(self) -> dict[str, str]:
        """Every folder, with what its files' names end with."""
        return {**dict.fromkeys(self.images, ".png"), self.judgments: ".npy"}


LAYOUTS: Mapping[str, Layout] = {
    "2afc": Layout(images=("ref", "p0", "p1"), judgments="judge"),
    "jnd": Layout(images=("p0", "p1"), judgments="same"),
}

Counts: TypeAlias = dict[str, dict[str, int]]
"""How many triplets or pairs, by kind and subset."""

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
"""BAPPS's subsets of pairs; how many each holds is known roughly."""

PAIRS_EXPECTED = range(4500, 5001)

GROUPS: Mapping[str, tuple[str, ...]] = {
    "distortions": ("traditional", "cnn"),
    "real": ("superres", "deblur", "color", "frameinterp"),
    "all": tuple(TRIPLETS),
}
"""The "All" columns of the paper's Table 2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What verifying a folder came to.

    Attributes:
        name: ``bapps``, or what the folder calls itself.
        counts: how many triplets or pairs are there, by kind and subset.
        faults: one line for everything that is wrong, each with its file or folder; nothing is wrong if empty.
        remarks: what is odd, but need not be wrong.
    """

    name: str
    counts: Counts
    faults: tuple[str, ...]
    remarks: tuple[str, ...]


def read(folder: Path) -> Dataset:
    """Index a BAPPS folder; images and judgments are read shard by shard when they are asked for.

    Args:
        folder: the one that holds ``2afc`` and ``jnd``.

    Returns:
        The data set. Reading a shard raises `BappsError` for an image that cannot be decoded or is not square,
        and for a judgment that is not one number in [0, 1].

    Raises:
        BappsError: a folder is missing or empty, names do not match, or there are more or fewer triplets than
            BAPPS, or the folder's own description, has.
    """
    index = _index(folder)
    if index.faults:
        more = f" ({len(index.faults) - 1} more: dps bapps verify {folder})" if len(index.faults) > 1 else ""
        raise BappsError(f"{index.faults[0]}{more}{_what_to_do(folder, index.description)}")
    shards = []
    for (kind, subset), files in index.subsets.items():
        root = _root(folder, kind, subset)
        names = files[LAYOUTS[kind].judgments]
        for number, span in enumerate(spans(len(names))):
            some = names[span.start : span.stop]
            shards.append(
                Shard(
                    kind=kind,
                    subset=subset,
                    number=number,
                    count=len(some),
                    look=functools.partial(_look, root, kind, some),
                    read=functools.partial(_read, root, kind, some),
                )
            )
    described = index.description
    groups = GROUPS if described is BAPPS else {"all": tuple(described.counts["2afc"])}
    judges = "human" if described is BAPPS else "judges"
    return Dataset(name=described.name, about=described.about, shards=tuple(shards), groups=groups, judges=judges)


def faults_of(folder: Path, kind: str) -> list[str]:
    """What is missing or too much in one part of a folder, by names and counts; no file is opened.

    Args:
        folder: the one that holds ``2afc`` and ``jnd``.
        kind: the part.
    """
    return list(_index(folder, kinds=(kind,)).faults)


def verify(folder: Path) -> Findings:
    """Count everything, open every image and check every judgment.

    A terminal shows how far it is.

    Args:
        folder: the one that holds ``2afc`` and ``jnd``.
    """
    index = _index(folder)
    faults, remarks = list(index.faults), []
    files = [
        (path / (name + suffix), suffix)
        for (kind, subset), names in index.subsets.items()
        for role, suffix in LAYOUTS[kind].roles.items()
        for path in [_root(folder, kind, subset) / role]
        for name in names[role]
    ]
    with _quiet_decoders():
        for path, suffix in tqdm(files, desc=f"verifying {folder}", unit=" files", disable=None):
            try:
                _CHECKS[suffix](_bytes_of(path), path)
            except BappsError as error:
                faults.append(str(error))
    counts: Counts = {kind: {} for kind in KINDS}
    for (kind, subset), names in index.subsets.items():
        counts[kind][subset] = max(map(len, names.values()))
    if index.description is BAPPS:
        for subset, count in counts["jnd"].items():
            if count not in PAIRS_EXPECTED:
                remarks.append(
                    f"{_root(folder, 'jnd', subset)}: {count} pairs, where {PAIRS_EXPECTED[0]} to "
                    f"{PAIRS_EXPECTED[-1]} are expected; the exact number is not known here."
                )
    return Findings(name=index.description.name, counts=counts, faults=tuple(faults), remarks=tuple(remarks))


def write(dataset: Dataset, folder: Path) -> None:
    """Write a data set as a BAPPS folder with a description of its own, whole or not at all.

    Args:
        dataset: any but BAPPS itself.
        folder: is made; may be there if it is empty.

    Raises:
        BappsError: the folder holds something, or cannot be written.
    """
    if dataset.name == BAPPS.name:
        raise BappsError("BAPPS itself is not written; copy its folder.")
    folder = folder.absolute()
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise BappsError(f"{folder}: is there and not empty; name a new folder.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as temporary:
            made = Path(temporary) / "made"
            made.mkdir()
            _write_files(dataset, made)
            made.replace(folder)
    except OSError as error:
        raise BappsError(f"{folder}: cannot be written ({error.strerror}).") from None


# ------------------------------------------------------------------------------------- the folder's form


def _same_layout(name: str) -> str:
    if name == "bapps":
        raise ValueError("a folder with a description of its own is not BAPPS; give it another name")
    return name


class Description(pydantic.BaseModel):
    """What a folder says about itself.

    Attributes:
        dps_dataset: version of this form.
        name: as results call it.
        about: what a reader of results has to know.
        counts: how many triplets or pairs it holds, by kind and subset.
    """

    model_config = pydantic.ConfigDict(extra="forbid", strict=True, frozen=True)

    dps_dataset: Literal[1] = 1
    name: Annotated[str, pydantic.Field(min_length=1), pydantic.AfterValidator(_same_layout)]
    about: str
    counts: dict[Literal["2afc", "jnd"], dict[str, Annotated[int, pydantic.Field(ge=1)]]]


BAPPS = Description.model_construct(
    name="bapps",
    about="BAPPS validation set (Zhang et al. 2018, arXiv:1801.03924), images resized to 64 x 64",
    counts={"2afc": dict(TRIPLETS), "jnd": dict.fromkeys(PAIRS, 0)},  # 0: not known
)
"""What a folder is that does not describe itself."""

Names: TypeAlias = dict[str, list[str]]
"""The files of one subset by role, without their suffix, in order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Index:
    """What a folder holds by name, and what is wrong with it."""

    description: Description
    subsets: dict[tuple[str, str], Names] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)


def _root(folder: Path, kind: str, subset: str) -> Path:
    return folder / kind / SPLIT / subset


def _index(folder: Path, kinds: Sequence[str] = tuple(KINDS)) -> _Index:
    if not folder.is_dir():
        return _Index(description=BAPPS, faults=[f"{folder}: no such folder."])
    try:
        description = _description(folder)
    except BappsError as error:
        return _Index(description=BAPPS, faults=[str(error)])
    if not any((folder / kind).is_dir() for kind in kinds):
        parts = " or ".join(f"{kind}/{SPLIT}" for kind in kinds)
        return _Index(description=description, faults=[f"{folder}: no BAPPS folder, there is no {parts} in it."])
    index = _Index(description=description)
    for kind in kinds:
        expected = description.counts.get(kind, {})  # type: ignore[call-overload]
        for subset in [*expected, *(name for name in _entries(folder / kind / SPLIT) if name not in expected)]:
            root = _root(folder, kind, subset)
            if subset not in expected:
                index.faults.append(f"{root}: no subset of {description.name}, which has {', '.join(expected)}.")
            elif not root.is_dir():
                index.faults.append(f"{root}: is missing.")
            else:
                names, faults = _names(root, LAYOUTS[kind])
                index.subsets[kind, subset] = names
                index.faults.extend(faults or _miscounted(root, names, expected[subset], description))
    return index


def _what_to_do(folder: Path, description: Description) -> str:
    """What helps where a folder cannot be used."""
    if (folder / SPLIT).is_dir() or folder.name in (*KINDS, SPLIT):
        return " Name the folder above, the one that holds 2afc and jnd."
    return f" Get BAPPS with: dps bapps fetch {folder}" if description is BAPPS else ""


def _description(folder: Path) -> Description:
    """What a folder says about itself; BAPPS where it says nothing.

    Raises:
        BappsError: what it says cannot be understood.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        return BAPPS
    try:
        return Description.model_validate_json(_bytes_of(path))
    except pydantic.ValidationError as error:
        fault = error.errors()[0]
        where = ".".join(map(str, fault["loc"]))
        raise BappsError(f"{path}: {where + ': ' if where else ''}{fault['msg']}.") from None


def _names(root: Path, layout: Layout) -> tuple[Names, list[str]]:
    """The files of one subset by role, and what is wrong with them."""
    names: Names = {role: [] for role in layout.roles}
    there = [role for role in layout.roles if (root / role).is_dir()]
    faults = [
        f"{root}: has {', '.join(there) or 'nothing that is known'}, but no {role}."
        for role in layout.roles
        if role not in there
    ]
    for role in there:
        for name in _entries(root / role):
            stem, suffix = os.path.splitext(name)  # noqa: PTH122 - of a name, a hundred thousand times
            if suffix.lower() == layout.roles[role] and suffix.islower():
                names[role].append(stem)
            else:
                faults.append(f"{root / role / name}: does not belong here; {layout.roles[role]} files do.")
        if not names[role]:
            faults.append(f"{root / role}: is empty.")
    everything = sorted(set().union(*names.values()))
    for role in there:
        if names[role] and len(names[role]) != len(everything):
            lacking = sorted(set(everything) - set(names[role]))
            faults.append(
                f"{root / role}: {len(names[role])} files, but {len(everything)} names in the folders beside it; "
                f"missing: {', '.join(name + layout.roles[role] for name in lacking[:3])}"
                f"{f' and {len(lacking) - 3} more' if len(lacking) > 3 else ''}."
            )
    return names, faults


def _miscounted(root: Path, names: Names, expected: int, description: Description) -> list[str]:
    found = max(map(len, names.values()))
    if expected in (0, found):
        return []
    return [f"{root}: {found} of {expected} that {description.name} has."]


def _entries(folder: Path) -> list[str]:
    """Names in a folder, sorted, but for hidden ones; none if there is no folder."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))  # noqa: PTH208 - three times as fast
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise BappsError(f"{folder}: cannot be read ({error.strerror}).") from None


# ------------------------------------------------------------------------------------------------- files


def _look(root: Path, kind: str, names: Sequence[str]) -> Labels:
    """Judgments and digest of some triplets or pairs."""
    digest, judgments = Digest(kind), []
    with _quiet_decoders():
        for files in _files(root, kind, names):
            for _, data in files:
                digest.add(data)
            path, data = files[-1]
            judgments.append(_judgment(data, path))
    return Labels(judgments=np.array(judgments), digest=digest.hexadecimal())


def _read(root: Path, kind: str, names: Sequence[str]) -> Content:
    """Everything of some triplets or pairs."""
    digest, judgments = Digest(kind), []
    images = np.empty((len(names), 1 + KINDS[kind], SIZE, SIZE, 3), dtype=np.uint8)
    with _quiet_decoders():
        for row, files in zip(images, _files(root, kind, names), strict=True):
            for _, data in files:
                digest.add(data)
            *pictures, (path, data) = files
            judgments.append(_judgment(data, path))
            for place, (picture_path, picture) in zip(row, pictures, strict=True):
                place[:] = _image(picture, picture_path)
    return Content(images=images, labels=Labels(judgments=np.array(judgments), digest=digest.hexadecimal()))


def _files(root: Path, kind: str, names: Sequence[str]) -> Iterator[list[tuple[Path, bytes]]]:
    """Each triplet's or pair's files with their bytes; the judgment is the last."""
    folders = [(root / role, suffix) for role, suffix in LAYOUTS[kind].roles.items()]
    for name in names:
        paths = [folder / (name + suffix) for folder, suffix in folders]
        yield [(path, _bytes_of(path)) for path in paths]


def _bytes_of(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise BappsError(f"{path}: cannot be read ({error.strerror}).") from None


@contextmanager
def _quiet_decoders() -> Iterator[None]:
    """No word on odd metadata, or on headers that Python 2 wrote; too many pixels are an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", PIL.Image.DecompressionBombWarning)
        warnings.filterwarnings("ignore", category=UserWarning)
        yield


def _image(data: bytes, path: Path) -> NDArray[np.uint8]:
    """Decode a PNG and resize it, ``(SIZE, SIZE, 3)``.

    Raises:
        BappsError: it cannot be decoded, or is not square.
    """
    try:
        with PIL.Image.open(io.BytesIO(data), formats=("PNG",)) as file:
            image = file.convert("RGB")
    except PIL.UnidentifiedImageError:
        raise BappsError(f"{path}: no PNG image.") from None
    except Exception as error:  # noqa: BLE001 - Pillow's decoders raise almost anything on a damaged file
        raise BappsError(f"{path}: the image cannot be decoded ({one_line(error)}); is it cut short?") from None
    if image.width != image.height:
        raise BappsError(f"{path}: measures {image.width} x {image.height} pixels; images here are square.")
    return np.asarray(image.resize((SIZE, SIZE), PIL.Image.Resampling.BILINEAR))


def _judgment(data: bytes, path: Path) -> float:
    """Read a judgment.

    Raises:
        BappsError: it is not one number in [0, 1].
    """
    try:
        return _share(data)
    except ValueError as error:
        raise BappsError(f"{path}: {error}.") from None


@functools.lru_cache(maxsize=256)  # few people judge, so few different files are there
def _share(data: bytes) -> float:
    try:
        found = np.load(io.BytesIO(data), allow_pickle=False)
    except Exception as error:  # noqa: BLE001 - NumPy and zipfile raise almost anything on a damaged file
        raise ValueError(f"no readable .npy file of numbers ({one_line(error)})") from None
    if not isinstance(found, np.ndarray) or found.size != 1 or found.dtype.kind not in "fiub":
        what = f"{found.dtype} of shape {found.shape}" if isinstance(found, np.ndarray) else type(found).__name__
        raise ValueError(f"a judgment is one number, found {what}")
    share = float(found.item())
    if not 0 <= share <= 1:
        raise ValueError(f"a judgment is within [0, 1], found {share:g}")
    return share


_CHECKS = {".png": _image, ".npy": _judgment}


def _write_files(dataset: Dataset, folder: Path) -> None:
    seen: dict[tuple[str, str], int] = {}
    for shard in tqdm(dataset.shards, desc=f"writing {dataset.name}", unit=" shards", disable=None):
        layout, root = LAYOUTS[shard.kind], _root(folder, shard.kind, shard.subset)
        for role in layout.roles:
            (root / role).mkdir(parents=True, exist_ok=True)
        content = shard.read()
        first = seen.get((shard.kind, shard.subset), 0)
        for number, (images, judgment) in enumerate(zip(content.images, content.labels.judgments, strict=True), first):
            for role, pixels in zip(layout.images, images, strict=True):
                PIL.Image.fromarray(pixels).save(root / role / f"{number:06d}.png")
            np.save(root / layout.judgments / f"{number:06d}.npy", np.array([judgment]), allow_pickle=False)
        seen[shard.kind, shard.subset] = first + shard.count
    description = Description.model_validate(
        {"name": dataset.name, "about": dataset.about, "counts": {k: c for k, c in dataset.counts.items() if c}}
    )
    text = json.dumps(description.model_dump(), indent=1) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")
