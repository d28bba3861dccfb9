"""Published data sets, each recognized by its files, and any path that ``--judgments`` takes.

A folder that has a set's layout, but not as many judgments as are published, is measured under another name. Which file
is read, which way its scores point and the sources are in docs/judgments.md.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from dps import notes
from dps.errors import JudgmentsError
from dps.judgments import bapps, studies, synthetic, tables
from dps.judgments.dataset import Dataset, Judged
from dps.judgments.tables import Find, Predictions, number


@dataclass(frozen=True, slots=True)
class Layout:
    """How a data set is published.

    Attributes:
        name: in tables and names of scores.
        title: the name that its authors gave it, and where.
        marks: what a folder with it has, each a file or folder.
        count: the published number of judgments.
        rows: reads them.
        limits: of a score, in the sign of the judgments; None where it has none.
        kind: of its judgments, one of `dataset.KINDS`.
    """

    name: str
    title: str
    marks: tuple[str, ...]
    count: int
    rows: Callable[[Path, Find], Iterable[Judged]] = field(repr=False)
    limits: tuple[float, float] | None = None
    kind: str = "mos"


IMAGE_FIRST = ("distorted", "score")


@dataclass(frozen=True, slots=True)
class NamedImages:
    """Reads tables of distorted images and scores, where an image's name tells the original and the distortion.

    Attributes:
        tables: a pattern of their paths in the folder.
        columns, separator: see `tables.read`.
        name: a regular expression of the name of a distorted image: that of the original, and the group.
        ending: of the originals' file names.
        originals, distorted: patterns of the folders of the images.
        sign: -1 where a high score means different.
    """

    tables: str
    columns: tuple[str, ...]
    separator: str
    name: str
    ending: str
    originals: str
    distorted: str
    sign: int = 1

    def __call__(self, folder: Path, find: Find) -> Iterator[Judged]:
        """Yield the rows; a JudgmentsError where a table is missing, or a name has another form."""
        paths = sorted(folder.glob(self.tables))
        if not paths:
            raise JudgmentsError(f"{folder / self.tables}: is missing; docs/judgments.md says what is in it.")
        originals, distorted = (sorted(folder.glob(pattern)) for pattern in (self.originals, self.distorted))
        for where, row in (row for path in paths for row in tables.read(path, self.columns, self.separator).rows):
            image = row.get("distorted", "")
            if not (match := re.match(self.name, image)) or "score" not in row:
                raise JudgmentsError(
                    f"{where}: {', '.join(row.values())}: not the image and score of {folder}'s layout."
                )
            yield Judged(
                original=find(originals or [folder], match[1] + self.ending),
                compared=(find(distorted or [folder], image),),
                judgment=self.sign * number(where, row, "score"),
                group=match[2].casefold(),
                where=where,
            )


LIVE_FOLDERS = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
"""The folders of LIVE in the order of its scores, with how many images they have, originals among them."""


def _live(folder: Path, find: Find) -> Iterator[Judged]:
    """Read ``dmos_realigned.mat``, or ``dmos.mat``; a high score means different, and originals have none."""
    from scipy import io

    path = folder / ("dmos_realigned.mat" if (folder / "dmos_realigned.mat").exists() else "dmos.mat")
    names = [f"{place}/img{i}.bmp" for place, count in LIVE_FOLDERS.items() for i in range(1, count + 1)]
    try:
        table, references = io.loadmat(path), io.loadmat(folder / "refnames_all.mat")["refnames_all"].ravel()
        scores, are_original = table["dmos_new" if "dmos_new" in table else "dmos"].ravel(), table["orgs"].ravel()
    except Exception as error:  # noqa: BLE001 - SciPy raises almost anything on a damaged file
        raise JudgmentsError(f"{path}: not LIVE's scores ({type(error).__name__}: {error}).") from None
    if not len(scores) == len(are_original) == len(references) == len(names):
        raise JudgmentsError(f"{path}: {len(scores)} scores of {len(references)} images; LIVE has {len(names)}.")
    for name, score, is_original, reference in zip(names, scores, are_original, references, strict=True):
        if not is_original:
            yield Judged(
                original=find([folder / "refimgs"], str(reference[0])),
                compared=(find([folder], name),),
                judgment=-float(score),
                group=name.split("/")[0],
                where=f"{path}: {name}",
            )


NIGHTS_VOTES = 6
"""A triplet of NIGHTS counts from so many unanimous votes on."""


def _nights(folder: Path, find: Find) -> Iterator[Judged]:
    table = tables.read(folder / "data.csv")
    rows = [each for each in table.rows if "votes" not in each[1] or number(*each, "votes") >= NIGHTS_VOTES]
    return iter(tables.judged(replace(table, rows=rows), find)[1])


PARTS = "([^_]+)_([^_]+)_"
"""A name such as ``I01_02_3.png``: of the original, and the distortion."""

KADID = NamedImages("dmos.csv", (), ",", PARTS, ".png", "*images", "*images")
TID = NamedImages("mos_with_names.txt", ("score", "distorted"), " ", PARTS, ".bmp", "reference*", "distorted*")
CSIQ = NamedImages("csiq_label.txt", IMAGE_FIRST, " ", r"(.+?)\.(\w+)\.", ".png", "src_imgs", "dst_imgs/**", -1)
PIPAL = NamedImages("Train_Label/*.txt", IMAGE_FIRST, ",", PARTS, ".bmp", "Train_Ref", "*Dist*")

LAYOUTS = (
    Layout("kadid10k", "KADID-10k (Lin et al. 2019)", ("dmos.csv",), 10125, KADID, (1, 5)),
    Layout("tid2013", "TID2013 (Ponomarenko et al. 2015)", ("mos_with_names.txt",), 3000, TID, (0, 9)),
    Layout("csiq", "CSIQ (Larson and Chandler 2010)", ("src_imgs", "dst_imgs"), 866, CSIQ, (-1, 0)),
    Layout("live", "LIVE, release 2 (Sheikh et al. 2006)", ("refnames_all.mat",), 779, _live),
    Layout("pipal", "PIPAL, training set (Gu et al. 2020)", ("Train_Label", "Train_Ref"), 23200, PIPAL),
    Layout("nights", "NIGHTS (Fu et al. 2023)", ("data.csv", "ref", "distort"), 20019, _nights, kind="2afc"),
)

RESERVED = frozenset(layout.name for layout in LAYOUTS) | {bapps.BAPPS.name, synthetic.NAME}
"""Names of data sets that no file of another one gets."""


def read(text: str, *, size: int | None = None, predictions: Iterable[Predictions] = ()) -> Dataset:
    """Read judgments: ``synthetic``, a CSV file, or the folder of a published data set.

    Args:
        size: the length of the shorter side that images are resized to; None for as they are. BAPPS and the stand-in
            are always measured at 64 x 64.
        predictions: of the same images, made elsewhere.

    Raises:
        JudgmentsError: it is none of these, or something in it is wrong; see `studies.make`, `bapps.read` and `tables`.
    """
    path = Path(text)
    if text == synthetic.NAME and not path.exists():  # a folder of that name wins
        return synthetic.synthesize()
    if path.is_file():
        return _study(path, size, predictions)
    layout = next((each for each in LAYOUTS if all((path / mark).exists() for mark in each.marks)), None)
    if layout is None:
        if path.suffix and not path.exists():
            raise JudgmentsError(f"{path}: no such file.")
        if path.is_dir() and not bapps.resembles(path):
            known = "; ".join(f"{each.title} has {' and '.join(each.marks)}" for each in LAYOUTS)
            raise JudgmentsError(
                f"{path}: no data set that is known. {known}; BAPPS has 2afc and jnd (get it with: dps bapps fetch "
                f"{path}). A study of your own is a CSV file, see docs/judgments.md."
            )
        return bapps.read(path)
    rows = list(layout.rows(path, studies.finder()))
    about = Dataset(layout.name, layout.title, title=f"Agreement with people, on {layout.title}", judges="human")
    if len(rows) != layout.count:
        text = f"{len(rows):,} judgments in the layout of {layout.title}, which has {layout.count:,}"
        about = Dataset(f"{layout.name}-layout", text)
        notes.add_text(f"{path}: {text}; not called by its name.")
    return studies.make(about, layout.kind, rows, path, size, limits=layout.limits, predictions=predictions)


def _study(path: Path, size: int | None, predictions: Iterable[Predictions]) -> Dataset:
    kind, rows = tables.judged(tables.read(path), studies.finder())
    about = Dataset(name_of(path), f"{'choices' if kind == '2afc' else 'scores'} of the file {path.name}")
    return studies.make(about, kind, rows, path, size, predictions=predictions)


def name_of(path: Path) -> str:
    """Return what a file's data set is called: its stem, or its name where a published data set is called like that."""
    return path.name if path.stem.casefold() in RESERVED else path.stem


def predicted(predictions: Predictions) -> Dataset:
    """Return the data set of predictions whose file has people's scores, too."""
    about = Dataset(name_of(predictions.path), f"scores and predictions of the file {predictions.path.name}")
    return studies.make(
        about, "mos", predictions.own, predictions.path, None, predictions=[predictions], measured=False
    )


def description(text: str) -> Iterator[str]:
    """Yield what a person needs to know of judgments, line by line; raises as `read`."""
    dataset = read(text)
    yield f"{text}: {dataset.name}: {dataset.about}"
    for kind, counts in dataset.counts.items():
        for subset, count in counts.items():
            yield f"  {kind}/{subset}: {count:,}"
    rows = [row for shard in dataset.shards for row in shard.rows]
    for group, count in sorted(Counter(row.group for row in rows if row.group).items()):
        yield f"  group {group}: {count:,}"
    if rows:
        values = [float(row.judgment) for row in rows]
        meaning = "chose b" if rows[0].compared[1:] else "higher is more similar"
        yield f"  judgments: {min(values):g} to {max(values):g}, {meaning}"
        yield f"  originals: {len({row.original for row in rows}):,}"
    yield f"  images: {', '.join(f'{width} x {height}' for height, width in sorted(dataset.shapes)[:6])}"
