"""Published data sets, each recognized by its files, and any path that ``--judgments`` takes.

A folder that has a set's layout, but not as many judgments as are published, is measured under another name. Which file
is read, which way its scores point and the sources are in docs/judgments.md.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from dps.errors import JudgmentsError
from dps.judgments import bapps, studies, synthetic, tables
from dps.judgments.dataset import Dataset, Judged
from dps.judgments.studies import Finder
from dps.judgments.tables import Predictions, Table, number


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a data set is published.

    Attributes:
        name: in tables and names of scores.
        title: the name that its authors gave it.
        source: of the data set.
        marks: what a folder with it has, each a file or folder.
        count: the published number of judgments.
        rows: reads them.
        kind: of its judgments, one of `dataset.KINDS`.
        limits: of a score, in the sign of the judgments; None where it has none.
    """

    name: str
    title: str
    source: str
    marks: tuple[str, ...]
    count: int
    rows: Callable[[Path, Finder], Iterable[Judged]] = field(repr=False)
    kind: str = "mos"
    limits: tuple[float, float] | None = None


def _scored(
    table: Table,
    finder: Finder,
    original: Callable[[str], str],
    group: Callable[[str], str],
    originals: Sequence[Path],
    distorted: Sequence[Path],
    sign: int = 1,
) -> Iterator[Judged]:
    """Yield the rows of a table with columns ``distorted`` and ``score``, where the image's name says the rest."""
    for where, row in table.rows:
        name = row["distorted"]
        yield Judged(
            original=finder.find(originals, original(name)),
            compared=(finder.find(distorted, name),),
            judgment=sign * number(where, row, "score"),
            group=group(name),
            where=where,
        )


def _kadid10k(folder: Path, finder: Finder) -> Iterator[Judged]:
    """Read ``dmos.csv``, in which a high score means similar."""
    images = [folder / "images", folder / "reference_images", folder / "distorted_images"]
    table = tables.read(folder / "dmos.csv")
    if not table.has(tables.SCORED):
        raise JudgmentsError(f"{table.path}: the columns are {', '.join(table.columns)}, not those of KADID-10k.")
    return _scored(table, finder, lambda n: f"{n.split('_')[0]}.png", lambda n: n.split("_")[1], images, images)


def _tid2013(folder: Path, finder: Finder) -> Iterator[Judged]:
    table = tables.read(folder / "mos_with_names.txt", ("score", "distorted"), " ")
    folders = [folder / "reference_images"], [folder / "distorted_images"]
    return _scored(table, finder, lambda n: f"{n.split('_')[0]}.bmp", lambda n: n.split("_")[1], *folders)


def _csiq(folder: Path, finder: Finder) -> Iterator[Judged]:
    """Read ``csiq_label.txt``, lines such as ``1600.AWGN.1.png 0.062``; a high score means different."""
    if not (folder / "csiq_label.txt").exists():
        raise JudgmentsError(
            f"{folder}: csiq_label.txt is missing; it has the image and dmos of csiq.DMOS.xlsx, which is not read, in "
            "lines such as: 1600.AWGN.1.png 0.062"
        )
    table = tables.read(folder / "csiq_label.txt", ("distorted", "score"), " ")
    distorted = [path for path in (folder / "dst_imgs", *sorted((folder / "dst_imgs").iterdir())) if path.is_dir()]
    names = (lambda n: f"{n.split('.')[0]}.png"), (lambda n: n.split(".")[1].casefold())
    return _scored(table, finder, *names, [folder / "src_imgs"], distorted, -1)


def _pipal(folder: Path, finder: Finder) -> Iterator[Judged]:
    """Read all files in ``Train_Label``, lines such as ``A0001_00_00.bmp,1520.0648``."""
    distorted = [path for path in sorted(folder.iterdir()) if path.name.startswith(("Distortion_", "Train_Dist"))]
    for labels in sorted((folder / "Train_Label").glob("*.txt")):
        table = tables.read(labels, ("distorted", "score"))
        names = (lambda n: f"{n.split('_')[0]}.bmp"), (lambda n: n.split("_")[1])
        yield from _scored(table, finder, *names, [folder / "Train_Ref"], distorted)


LIVE_FOLDERS = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
"""The folders of LIVE in the order of its scores, with how many images they have, originals among them."""


def _live(folder: Path, finder: Finder) -> Iterator[Judged]:
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
                original=finder.find([folder / "refimgs"], str(reference[0])),
                compared=(finder.find([folder], name),),
                judgment=-float(score),
                group=name.split("/")[0],
                where=f"{path}: {name}",
            )


NIGHTS_VOTES = 6
"""A triplet of NIGHTS counts from so many unanimous votes on."""


def _nights(folder: Path, finder: Finder) -> Iterator[Judged]:
    table = tables.read(folder / "data.csv")
    rows = [each for each in table.rows if "votes" not in each[1] or number(*each, "votes") >= NIGHTS_VOTES]
    return iter(tables.judged(replace(table, rows=rows), finder.find)[1])


LAYOUTS = (
    Layout(
        name="kadid10k",
        title="KADID-10k",
        source="Lin et al. 2019, QoMEX",
        marks=("dmos.csv",),
        count=10125,
        rows=_kadid10k,
        limits=(1, 5),
    ),
    Layout(
        name="tid2013",
        title="TID2013",
        source="Ponomarenko et al. 2015, Signal Processing: Image Communication 30",
        marks=("mos_with_names.txt", "reference_images"),
        count=3000,
        rows=_tid2013,
        limits=(0, 9),
    ),
    Layout(
        name="csiq",
        title="CSIQ",
        source="Larson and Chandler 2010, Journal of Electronic Imaging 19",
        marks=("src_imgs", "dst_imgs"),
        count=866,
        rows=_csiq,
        limits=(-1, 0),
    ),
    Layout(
        name="live",
        title="LIVE, release 2",
        source="Sheikh et al. 2006, IEEE Transactions on Image Processing 15",
        marks=("refnames_all.mat", "refimgs"),
        count=779,
        rows=_live,
    ),
    Layout(
        name="pipal",
        title="PIPAL, training set",
        source="Gu et al. 2020, arXiv:2007.12142",
        marks=("Train_Label", "Train_Ref"),
        count=23200,
        rows=_pipal,
    ),
    Layout(
        name="nights",
        title="NIGHTS",
        source="Fu et al. 2023, arXiv:2306.09344",
        marks=("data.csv", "ref", "distort"),
        count=20019,
        rows=_nights,
        kind="2afc",
    ),
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
    rows, whole = list(layout.rows(path, Finder())), True
    about, remarks = f"{layout.title} ({layout.source})", []
    if len(rows) != layout.count:
        whole = False
        remarks = [f"{path}: {len(rows):,} of the {layout.count:,} judgments of {layout.title}; not called by its name"]
    return studies.make(
        layout.name if whole else f"{layout.name}-layout",
        about if whole else f"{len(rows):,} judgments in the layout of {layout.title}, which has {layout.count:,}",
        layout.kind,
        rows,
        where=path,
        size=size,
        title=f"Agreement with people, on {layout.title}" if whole else "",
        judges="human" if whole else "judges",
        limits=layout.limits,
        predictions=predictions,
        remarks=remarks,
    )


def _study(path: Path, size: int | None, predictions: Iterable[Predictions]) -> Dataset:
    table = tables.read(path)
    kind, rows = tables.judged(table, Finder().find)
    sign = 1 if kind == "2afc" or table.high_is_similar("score") else -1
    about = f"{path.name}, {'choices' if kind == '2afc' else 'scores'} of a study of one's own"
    return studies.make(
        name_of(path),
        about,
        kind,
        rows,
        where=path,
        size=size,
        limits=tables.limits(table, sign),
        predictions=predictions,
    )


def name_of(path: Path) -> str:
    """Return what a file's data set is called: its stem, or its name where a published data set is called like that."""
    return path.name if path.stem.casefold() in RESERVED else path.stem


def predicted(predictions: Predictions) -> Dataset:
    """Return the data set of predictions whose file has people's scores, too."""
    return studies.make(
        name_of(predictions.path),
        f"{predictions.path.name}, scores and predictions that were made elsewhere",
        "mos",
        predictions.own,
        where=predictions.path,
        predictions=[predictions],
        with_images=False,
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
    yield from dataset.remarks
