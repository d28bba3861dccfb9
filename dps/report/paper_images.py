"""The paper's Table 1, measured on the paper's own images, which are in a clone of its authors' repository.

    images/{invert,rotate,translate,color_stain}/   originals NAME.*, and their distorted images NAME_*.*
    images/color_stain/                             references NAME_ref.* of NAME's distorted images, or NAME_*_ref.*
                                                    of one of them
    images/ref/                                     the seven references of the three other probes

Nothing of it is part of dps.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from dps import locations, notes, probes
from dps.errors import ProbeError
from dps.probes import Case, Probe
from dps.probes.cases import STANDARD_REFERENCES
from dps.progress import progress
from dps.report import findings, gate, pass_fractions, published, run_report, tables
from dps.report.pass_fractions import PassCounts
from dps.report.results import Gathered
from dps.report.tables import Cell, Table, wrapped
from dps.rows import VariantKey, json_lines
from dps.session.configuration import RunConfiguration
from dps.session.session import Session
from dps.yaml_files import MAX_FAULTS

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""Of image files, in any case of letters; other files are ignored."""

UNEXPECTED = "not the name of an image or a probe."

REFERENCE = "_ref"
"""How the name of an own reference ends."""


def load(places: Sequence[str | Path], *_: int | None) -> list[Probe]:
    """Read a clone of the authors' repository, or its folder ``images``, as probes; see `probes.load`.

    Raises:
        ProbeError: the folder has another form, or an image cannot be read; a line for each mistake.
    """
    folder, table = Path(places[0]), published.table1()
    images = folder / "images" if (folder / "images").is_dir() else folder
    names = [*table["probes"], "ref"]
    if not any((images / name).is_dir() for name in names):
        found = f"no images/ in it with {', '.join(names)}" if folder.is_dir() else "no such folder"
        raise ProbeError(f"{folder}: {found}; name a clone of {table['images']}.")
    for path in _visible(images):
        if path.name not in names:
            notes.add("ignored", path, UNEXPECTED)
    faults: list[str] = []
    *listed, seven = (_image_files(images / name, faults) for name in names)
    if seven and len(seven) != len(STANDARD_REFERENCES):
        faults.append(f"{images / 'ref'}: {len(seven)} images; the references are {', '.join(STANDARD_REFERENCES)}.")
    loaded = []
    for name, files in zip(table["probes"], listed, strict=True):
        own = name in table["own_references"]
        data = {"probe": name, "cases": list(_cases(files, list(seven.values()), faults, own=own))}
        if not data["cases"]:
            continue
        try:
            probe = probes.of_data(data, images / name)
        except ProbeError as error:
            for line in str(error).splitlines():
                fault = line.removeprefix(f"{images / name}:1: ")
                faults.append(f"{images / name}: {fault}" if fault.startswith("case ") else fault)
        else:
            cases = tuple(_prepared(case, images / name, shared=not own) for case in probe.cases)
            loaded.append(replace(probe, path=locations.data("paper.yaml"), cases=cases))
    if faults := list(dict.fromkeys(faults)):
        more = [f"{images}: {len(faults) - MAX_FAULTS} more mistakes."] if len(faults) > MAX_FAULTS else []
        raise ProbeError("\n".join([*faults[:MAX_FAULTS], *more]))
    return loaded


def _visible(folder: Path) -> list[Path]:
    """Return what is in a folder, if it is one, but for hidden files such as ``.DS_Store``."""
    return [path for path in sorted(folder.iterdir()) if path.name[0] != "."] if folder.is_dir() else []


def _image_files(folder: Path, faults: list[str]) -> dict[str, Path]:
    """Return the image files of a folder by name without suffix; note other ones."""
    files: dict[str, Path] = {}
    for path in _visible(folder):
        if path.suffix.lower() not in SUFFIXES:
            notes.add("ignored", path, UNEXPECTED)
        elif path.stem in files:
            faults.append(f"{path}: {files[path.stem].name} has the same name; remove one of them.")
        else:
            files[path.stem] = path
    if not files:
        faults.append(f"{folder}: {'no image in it' if folder.is_dir() else 'no such folder'}.")
    return files


def _originals(files: dict[str, Path], faults: list[str]) -> dict[str, str]:
    """Return each distorted image's original, both by name: the longest one that it begins with.

    An image whose name others begin with is an original itself.
    """
    longest = {
        name: max((other for other in files if name.startswith(f"{other}_")), key=len, default="") for name in files
    }
    originals = set(longest.values())
    distorted = {name: original for name, original in longest.items() if original and name not in originals}
    for name, original in longest.items():
        if name not in distorted and name not in distorted.values():
            further = ", only further originals" if name in originals else ""
            before = "" if further else name.rpartition("_")[0]
            missing = f"its original is missing ({before}.*)" if before else f"no distorted image of it ({name}_*)"
            faults.append(f"{files[name]}: {missing}{further}.")
        elif original and name not in distorted:
            notes.add_text(f"{files[name]} is taken for an original, since other names begin with its own.")
    return distorted


def _cases(files: dict[str, Path], common: Sequence[Path], faults: list[str], *, own: bool) -> Iterator[dict[str, Any]]:
    """Yield a probe's cases as plain data, with references of their own or with the common ones."""
    references = {name: path for name, path in files.items() if own and name.endswith(REFERENCE)}
    used = set()
    for name, original in _originals({n: path for n, path in files.items() if n not in references}, faults).items():
        names = [f"{name}{REFERENCE}", f"{original}{REFERENCE}"]
        chosen = next((references[each] for each in names if each in references), None)
        used.add(chosen)
        if own and chosen is None:
            faults.append(f"{files[name]}: its reference is missing, {' or '.join(f'{each}.*' for each in names)}.")
            continue
        yield {
            "id": name,
            "original": _declared(files[original]),
            "distorted": _declared(files[name]),
            "references": [_declared(path) for path in ([chosen] if chosen else common)] or "standard",
        }
    faults += [f"{path}: a reference without a distorted image." for path in references.values() if path not in used]


def _declared(path: Path) -> dict[str, str]:
    return {"image": f"{path.parent.name}/{path.name}"}


def _prepared(case: Case, folder: Path, *, shared: bool) -> Case:
    """Return a case that says where it is from, and whether most cases have its references in common."""
    references = {name: replace(recipe, shared=shared) for name, recipe in case.references.items()}
    return replace(case, where=str(folder), references=references)


def measure(configuration: RunConfiguration, folder: Path, command: str, width: int) -> tuple[list[str], bool]:
    """Measure all cases of a folder, and write Table 1 and results.json.

    Returns:
        The lines for a terminal of that many columns; and whether a case could not be measured, or a file not written.
    """
    items = [(case, variant) for _, case, variant in configuration.items()]
    gathered = Gathered()
    with closing(Session(configuration, items)) as session, progress("Table 1", len(items), "results") as advance:
        for case, variant in items:
            gathered.add({"case": session.row(case, variant)})
            advance(1)
    document, outcome = run_report.judged(configuration, gathered, command)
    counts = pass_fractions.count(document["cases"])
    shown, sentences = table(counts, folder), in_words(counts)
    written, faults = run_report.write(
        configuration.report_dir,
        {
            "results.json": lambda: json_lines(document),
            "table1.md": lambda: ["\n".join([*tables.as_section(shown), "", *sentences, ""])],
            "table1.tex": lambda: [tables.as_latex(shown)],
        },
    )
    said = [*sentences, *(f"note: {note}" for note in [*findings.notes(document), *notes.lines()])]
    lines = [*gate.as_text(outcome.row, width, verbose=False), *tables.as_text(shown, width), ""]
    lines += [part for text in said for part in wrapped(text, width)]
    return [*lines, *written, *faults], bool(faults) or outcome.holds is False


def table(counts: PassCounts, folder: Path) -> Table:
    """Return Table 1, on the images of a folder: the paper's numbers right of ours, marked where both are the same."""

    def cell(variant: VariantKey, probe: str) -> Cell:
        count = counts.of(variant, probe)
        unmeasured = f"({count.unmeasured} not measured)" if count.cases and count.unmeasured else ""
        return replace(count.cell(), detail=unmeasured)

    def published_cell(variant: VariantKey, probe: str) -> str:
        return f"{'= ' * _agree(counts, variant, probe)}{published.cell(variant, probe)}"

    note = "passed/cases; higher is better."
    if any(published.cell(*key) for key in counts.counts):
        note += f" paper: as in {published.source()}, with = where it is the same as here."
    return tables.build(
        f"Table 1, on the images of {folder}", counts.variants, counts.probes, cell, published_cell, note
    )


def _agree(counts: PassCounts, variant: VariantKey, probe: str) -> bool:
    """Return whether as many of as many cases passed as in the paper."""
    return counts.of(variant, probe).cell().text == published.cell(variant, probe) != ""


def in_words(counts: PassCounts) -> list[str]:
    """Say how many cells agree, and which probes have another number of cases than in the paper."""
    published_keys = [(v, p) for v in counts.variants for p in counts.probes if published.cell(v, p)]
    agreeing = sum(_agree(counts, *key) for key in published_keys)
    sentences = [f"{agreeing} of {len(published_keys)} cells agree with the paper's Table 1."]
    if not published_keys:
        sentences = ["The paper has no numbers for these metrics, networks and normalizations."]
    for probe, cases in zip(published.table1()["probes"], published.table1()["cases"], strict=True):
        found = max(count.cases + count.unmeasured for (_, name), count in counts.counts.items() if name == probe)
        if found != cases:
            sentences.append(
                f"{probe}: {found} distorted images, but {cases} in the paper; its cells cannot be compared."
            )
    return sentences
