"""Data sets as folders in the layout of BAPPS."""

from pathlib import Path

import numpy as np
import PIL.Image

from dps.judgments.bapps import DESCRIPTION, SPLIT, Description
from dps.judgments.dataset import Dataset
from dps.judgments.shard_files import ROLES


def write(dataset: Dataset, folder: Path) -> None:
    """Write a data set of at most one shard per subset, with its description."""
    for shard in dataset.shards:
        content = shard.read()
        for number, (images, judgment) in enumerate(zip(content.stacks[0], content.judgments, strict=True)):
            for (role, suffix), value in zip(ROLES[shard.kind].items(), [*images, judgment], strict=True):
                path = folder / shard.kind / SPLIT / shard.subset / role / f"{number:06d}{suffix}"
                path.parent.mkdir(parents=True, exist_ok=True)
                if suffix == ".npy":
                    np.save(path, np.array([value]))
                else:
                    PIL.Image.fromarray(value).save(path)
    description = Description(name=dataset.name, about=dataset.about, counts=counts(dataset))
    (folder / DESCRIPTION).write_text(description.model_dump_json(), encoding="utf-8")


def counts(dataset: Dataset) -> dict[str, dict[str, int]]:
    """Return the number of triplets or pairs in each subset."""
    return {
        kind: {name: sum(shard.count for shard in shards) for name, shards in dataset.subsets(kind).items()}
        for kind in ("2afc", "jnd")
    }
