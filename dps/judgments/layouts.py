"""Published data sets, recognized by their files, and all other values of ``--judgments``.

A folder in the layout of a data set but with another number of judgments is measured under another name.
docs/judgments.md lists sources, files and the direction of scores.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from dps import notes
from dps.errors import JudgmentsError, one_line
from dps.judgments import bapps, studies, synthetic, tables
from dps.judgments.dataset import KINDS, Dataset, JudgedFiles
from dps.judgments.tables import Find, Predictions, number


@dataclass(frozen=True, slots=True)
class Layout:
    """Layout of a published data set.

    Attributes:
        name: in tables and names of scores.
        title: name and source in publications.
        marks: files and folders by which it is recognized.
        count: published number of judgments.
        rows: reads the rows of a folder.
        limits: of a score, with the sign of the judgments; None for none.
        kind: one of `dataset.KINDS`.
    """

    name: str
    title: str
    marks: tuple[str, ...]
    count: int
    rows: Callable[[Path, Find], Iterable[JudgedFiles]] = field(repr=False)
    limits: tuple[float, float] | None = None
    kind: str = "mos"


@dataclass(frozen=True, slots=True)
class NamedImages:
    """Reader of scores of distorted images whose names contain the original and the distortion.

    Attributes:
        tables: glob pattern of the tables in the folder.
        columns, separator: see `tables.read`.
        name: regular expression of a distorted image's name, with the original and the group as its groups.
        suffix: of the originals' file names.
        originals, distorted: glob patterns of the folders of images.
        sign: -1 if a high score means different.
    """

    tables: str
    columns: tuple[str, ...]
    separator: str
    name: str
    suffix: str
    originals: str
    distorted: str
    sign: int = 1

    def __call__(self, folder: Path, find: Find) -> Iterator[JudgedFiles]:
        """Yield the rows; a JudgmentsError if no table is found or a name does not match."""
        paths = sorted(folder.glob(self.tables))
        if not paths:
            raise JudgmentsError(f"{folder / self.tables}: missing; see docs/judgments.md.")
        originals, distorted = (sorted(folder.glob(pattern)) for pattern in (self.originals, self.distorted))
        for where, row in (row for path in paths for row in tables.read(path, self.columns, self.separator).rows):
            image = row.get("distorted", "")
            if not (match := re.match(self.name, image)) or "score" not in row:
                raise JudgmentsError(f"{where}: {', '.join(row.values())}: not an image and its score in this layout.")
            yield JudgedFiles(
                original=find(originals or [folder], match[1] + self.suffix),
                compared=(find(distorted or [folder], image),),
                judgment=self.sign * number(where, row, "score"),
                group=match[2].casefold(),
                where=where,
            )


LIVE_FOLDERS = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
"""The folders of LIVE in the order of its scores, with their number of images, originals included."""


def _live(folder: Path, find: Find) -> Iterator[JudgedFiles]:
    """Read ``dmos_realigned.mat`` or ``dmos.mat``; a high score means different, and originals are left out."""
    from scipy import io

    path = folder / ("dmos_realigned.mat" if (folder / "dmos_realigned.mat").exists() else "dmos.mat")
    names = [f"{name}/img{i}.bmp" for name, count in LIVE_FOLDERS.items() for i in range(1, count + 1)]
    try:
        table, references = io.loadmat(path), io.loadmat(folder / "refnames_all.mat")["refnames_all"].ravel()
        scores, are_original = table["dmos_new" if "dmos_new" in table else "dmos"].ravel(), table["orgs"].ravel()
    except Exception as error:  # noqa: BLE001 - SciPy raises almost anything on a damaged file
        raise JudgmentsError(f"{path}: not LIVE's scores ({one_line(error)}).") from None
    if not len(scores) == len(are_original) == len(references) == len(names):
        raise JudgmentsError(f"{path}: {len(scores)} scores of {len(references)} images; LIVE has {len(names)}.")
    for name, score, is_original, reference in zip(names, scores, are_original, references, strict=True):
        if not is_original:
            yield JudgedFiles(
                original=find([folder / "refimgs"], str(reference[0])),
                compared=(find([folder], name),),
                judgment=-float(score),
                group=name.partition("/")[0],
                where=f"{path}: {name}",
            )


def _nights(folder: Path, find: Find) -> list[JudgedFiles]:
    """Read the triplets with at least six unanimous votes, as in the paper."""
    table = tables.read(folder / "data.csv")
    rows = [(where, row) for where, row in table.rows if "votes" not in row or number(where, row, "votes") >= 6]
    return tables.judged_files(replace(table, rows=rows), find)[1]


PARTS = "([^_]+)_([^_]+)_"
"""Original and distortion in names such as ``I01_02_3.png``."""

KADID = NamedImages("dmos.csv", (), ",", PARTS, ".png", "*images", "*images")
TID = NamedImages("mos_with_names.txt", ("score", "distorted"), " ", PARTS, ".bmp", "reference*", "distorted*")
CSIQ = NamedImages(
    "csiq_label.txt", ("distorted", "score"), " ", r"(.+?)\.(\w+)\.", ".png", "src_imgs", "dst_imgs/**", -1
)
PIPAL = NamedImages("Train_Label/*.txt", ("distorted", "score"), ",", PARTS, ".bmp", "Train_Ref", "*Dist*")

LAYOUTS = (
    Layout("kadid10k", "KADID-10k (Lin et al. 2019)", ("dmos.csv",), 10125, KADID, (1, 5)),
    Layout("tid2013", "TID2013 (Ponomarenko et al. 2015)", ("mos_with_names.txt",), 3000, TID, (0, 9)),
    Layout("csiq", "CSIQ (Larson and Chandler 2010)", ("src_imgs", "dst_imgs"), 866, CSIQ, (-1, 0)),
    Layout("live", "LIVE, release 2 (Sheikh et al. 2006)", ("refnames_all.mat",), 779, _live),
    Layout("pipal", "PIPAL, training set (Gu et al. 2020)", ("Train_Label", "Train_Ref"), 23200, PIPAL),
    Layout("nights", "NIGHTS (Fu et al. 2023)", ("data.csv", "ref", "distort"), 20019, _nights, kind="2afc"),
)

RESERVED = frozenset(layout.name for layout in LAYOUTS) | {bapps.BAPPS.name, synthetic.NAME}
"""Names that no other data set gets."""


def read(text: str, *, size: int | None = None, predictions: Iterable[Predictions] = ()) -> Dataset:
    """Read judgments: ``synthetic``, a CSV file, or the folder of a published data set.

    Args:
        size: length of the shorter side after resizing, in pixels; None for no resizing. BAPPS and the stand-in are
            always measured at 64 x 64.
        predictions: distances of the same images, computed elsewhere.

    Raises:
        JudgmentsError: none of these, or invalid; see `studies.make`, `bapps.read` and `tables`.
    """
    path = Path(text)
    if text == synthetic.NAME and not path.exists():
        return synthetic.synthesize()
    if path.is_file():
        kind, rows = tables.judged_files(tables.read(path), studies.finder())
        template = Dataset(_name_of(path), f"{'choices' if kind == '2afc' else 'scores'} of the file {path.name}")
        return studies.make(template, kind, rows, path, size, predictions=predictions)
    layout = next((layout for layout in LAYOUTS if all((path / mark).exists() for mark in layout.marks)), None)
    if layout is None:
        if path.suffix and not path.exists():
            raise JudgmentsError(f"{path}: no such file.")
        if path.is_dir() and not bapps.resembles(path):
            known = "; ".join(f"{layout.title} has {' and '.join(layout.marks)}" for layout in LAYOUTS)
            raise JudgmentsError(
                f"{path}: not a known data set. {known}; BAPPS has 2afc and jnd (get it with: dps bapps fetch "
                f"{path}). Your own study must be a CSV file, see docs/judgments.md."
            )
        return bapps.read(path)
    rows = list(layout.rows(path, studies.finder()))
    template = Dataset(layout.name, layout.title, title=f"Agreement with people, on {layout.title}", judges="human")
    if len(rows) != layout.count:
        about = f"{len(rows):,} judgments in the layout of {layout.title}, which has {layout.count:,}"
        template = Dataset(f"{layout.name}-layout", about)
        notes.add_text(f"{path}: {about}; not called by its name.")
    return studies.make(template, layout.kind, rows, path, size, limits=layout.limits, predictions=predictions)


def _name_of(path: Path) -> str:
    """Return the stem of a file as the name of its data set, or its full name if that is `RESERVED`."""
    return path.name if path.stem.casefold() in RESERVED else path.stem


def with_own_scores(predictions: Predictions) -> Dataset:
    """Return the data set of predictions whose file also contains people's scores."""
    path = predictions.path
    template = Dataset(_name_of(path), f"scores and predictions of the file {path.name}")
    return studies.make(template, "mos", predictions.rows, path, None, predictions=[predictions], measured=False)


def describe(text: str) -> Iterator[str]:
    """Yield a description of judgments, line by line; raises as `read`."""
    dataset = read(text)
    yield f"{text}: {dataset.name}: {dataset.about}"
    for kind in KINDS:
        for subset, shards in dataset.subsets(kind).items():
            yield f"  {kind}/{subset}: {sum(shard.count for shard in shards):,}"
    rows = [row for shard in dataset.shards for row in shard.rows]
    for group, count in sorted(Counter(row.group for row in rows if row.group).items()):
        yield f"  group {group}: {count:,}"
    if rows:
        judgments = [float(row.judgment) for row in rows]
        meaning = "chose b" if rows[0].compared[1:] else "higher is more similar"
        yield f"  judgments: {min(judgments):g} to {max(judgments):g}, {meaning}"
        yield f"  originals: {len({row.original for row in rows}):,}"
    yield f"  images: {', '.join(f'{width} x {height}' for height, width in sorted(dataset.shapes)[:6])}"
