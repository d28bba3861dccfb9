"""Reading, verifying and writing a folder of BAPPS's layout."""

import functools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
from tqdm import tqdm

from dps.bapps import shard_files
from dps.bapps.dataset import KINDS, Dataset, Shard, spans
from dps.bapps.layout import (
    BAPPS,
    DESCRIPTION,
    GROUPS,
    IMAGES,
    JUDGMENTS,
    PAIRS_EXPECTED,
    SPLIT,
    Counts,
    Description,
    index_of,
    roles_of,
    root_of,
)
from dps.errors import BappsError


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """The result of verifying a folder.

    Attributes:
        name: ``bapps``, or the name that the folder gives itself.
        counts: how many triplets or pairs are there, by kind and subset.
        faults: one line for everything that is wrong, each with its file or folder; nothing is wrong if empty.
        remarks: what is odd, but need not be wrong.
    """

    name: str
    counts: Counts
    faults: tuple[str, ...]
    remarks: tuple[str, ...]


def read(folder: Path) -> Dataset:
    """Index a BAPPS folder; images and judgments are read shard by shard, see `shard_files`.

    Args:
        folder: the one that holds ``2afc`` and ``jnd``.

    Raises:
        BappsError: a folder is missing or empty, names do not match, or there are more or fewer triplets than
            BAPPS, or the folder's own description, has.
    """
    index = index_of(folder)
    description = index.description
    if index.faults:
        more = f" ({len(index.faults) - 1} more: dps bapps verify {folder})" if len(index.faults) > 1 else ""
        advice = f" Get BAPPS with: dps bapps fetch {folder}" if description is BAPPS else ""
        if (folder / SPLIT).is_dir() or folder.name in (*KINDS, SPLIT):
            advice = " Name the folder above, the one that holds 2afc and jnd."
        raise BappsError(f"{index.faults[0]}{more}{advice}")
    shards = []
    for (kind, subset), names in index.subsets.items():
        for number, span in enumerate(spans(len(names[JUDGMENTS[kind]]))):
            arguments = root_of(folder, kind, subset), kind, names[JUDGMENTS[kind]][span.start : span.stop]
            shards.append(
                Shard(
                    kind=kind,
                    subset=subset,
                    number=number,
                    count=len(span),
                    look=functools.partial(shard_files.look, *arguments),
                    read=functools.partial(shard_files.read, *arguments),
                )
            )
    return Dataset(
        name=description.name,
        about=description.about,
        shards=tuple(shards),
        groups=GROUPS if description is BAPPS else {"all": tuple(description.counts["2afc"])},
        judges="human" if description is BAPPS else "judges",
    )


def verify(folder: Path) -> Findings:
    """Count everything, open every image and check every judgment.

    A terminal shows the progress.

    Args:
        folder: the one that holds ``2afc`` and ``jnd``.
    """
    index = index_of(folder)
    faults, remarks = list(index.faults), []
    counts: Counts = {kind: {} for kind in KINDS}
    paths = []
    for (kind, subset), names in index.subsets.items():
        root, count = root_of(folder, kind, subset), max(map(len, names.values()))
        counts[kind][subset] = count
        paths += [root / role / (name + suffix) for role, suffix in roles_of(kind).items() for name in names[role]]
        if index.description is BAPPS and kind == "jnd" and count not in PAIRS_EXPECTED:
            remarks.append(
                f"{root}: {count} pairs, where {PAIRS_EXPECTED[0]} to {PAIRS_EXPECTED[-1]} are expected; the exact "
                "number is not known here."
            )
    for path in tqdm(paths, desc=f"verifying {folder}", unit=" files", disable=None):
        try:
            shard_files.check(path)
        except BappsError as error:
            faults.append(str(error))
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
            complete = Path(temporary) / "complete"
            complete.mkdir()
            _write_files(dataset, complete)
            complete.replace(folder)
    except OSError as error:
        raise BappsError(f"{folder}: cannot be written ({error.strerror}).") from None


def _write_files(dataset: Dataset, folder: Path) -> None:
    written: dict[Path, int] = {}
    for shard in tqdm(dataset.shards, desc=f"writing {dataset.name}", unit=" shards", disable=None):
        root = root_of(folder, shard.kind, shard.subset)
        for role in roles_of(shard.kind):
            (root / role).mkdir(parents=True, exist_ok=True)
        content, first = shard.read(), written.get(root, 0)
        for number, (images, judgment) in enumerate(zip(content.images, content.labels.judgments, strict=True), first):
            for role, pixels in zip(IMAGES[shard.kind], images, strict=True):
                PIL.Image.fromarray(pixels).save(root / role / f"{number:06d}.png")
            np.save(root / JUDGMENTS[shard.kind] / f"{number:06d}.npy", np.array([judgment]), allow_pickle=False)
        written[root] = first + shard.count
    description = Description.model_validate(
        {"name": dataset.name, "about": dataset.about, "counts": {k: c for k, c in dataset.counts.items() if c}}
    )
    (folder / DESCRIPTION).write_text(description.model_dump_json(indent=1) + "\n", encoding="utf-8")
