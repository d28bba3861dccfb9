"""The paper's Table 1, measured on the paper's own images, which are in a clone of its authors' repository.

    images/{invert,rotate,translate,color_stain}/   originals NAME.*, and their distorted images NAME_*.*
    images/color_stain/                             references NAME_ref.* of NAME's distorted images, or NAME_*_ref.*
                                                    of one of them
    images/ref/                                     the seven references of the three other probes

Nothing of it is part of dps.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

from dps import locations, notes, probes
from dps.errors import ProbeError
from dps.probes import Probe
from dps.probes.cases import STANDARD_REFERENCES
from dps.progress import progress
from dps.report import findings, gate, pass_fractions, published, run_report, tables
from dps.report.pass_fractions import PassCounts
from dps.report.results import RunRecords
from dps.report.tables import Cell, Table, wrapped
from dps.rows import VariantKey, json_lines
from dps.session.configuration import RunConfiguration
from dps.session.session import Session

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
"""Of image files, in any case of letters; other files are ignored."""


def load(places: Sequence[str | Path], *_: int | None) -> list[Probe]:
    """Read a clone of the authors' repository, or its folder ``images``, as probes; see `probes.load`.

    Raises:
        ProbeError: the folder has another form, or an image cannot be read.
    """
    folder, table = Path(places[0]), published.table1()
    images = folder / "images" if (folder / "images").is_dir() else folder
    files = {name: _image_files(images / name) for name in table["probes"]}
    seven = _image_files(images / "ref")
    if not all(files.values()) or len(seven) != len(STANDARD_REFERENCES):
        found = ", ".join(f"{len(each)} in {name}" for name, each in [*files.items(), ("ref", seven)])
        raise ProbeError(
            f"{images}: images found: {found}; there must be some of each probe, and {len(STANDARD_REFERENCES)} in "
            f"ref. Name a clone of {table['images']}."
        )
    loaded = []
    for name, of_probe in files.items():
        own, place = name in table["own_references"], images / name
        try:
            probe = probes.from_data({"probe": name, "cases": list(_cases(of_probe, seven, own=own))}, place)
        except ProbeError as error:
            raise ProbeError(str(error).replace(f"{place}:1: ", f"{place}: ")) from None
        cases = []
        for case in probe.cases:  # most have their references in common
            references = {key: replace(recipe, shared=not own) for key, recipe in case.references.items()}
            cases.append(replace(case, where=str(place), references=references))
        loaded.append(replace(probe, path=locations.data("paper.yaml"), cases=tuple(cases)))
    return loaded


def _image_files(folder: Path) -> dict[str, Path]:
    """Return the image files of a folder by name without suffix; none where there is no such folder."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return {path.stem: path for path in paths if path.suffix.lower() in SUFFIXES and path.name[0] != "."}


def _cases(files: Mapping[str, Path], common: Mapping[str, Path], *, own: bool) -> Iterator[dict[str, Any]]:
    """Yield a probe's cases as plain data, with references of their own or with the common ones.

    An image's original is the one with the longest name that its own name begins with. An image whose name others begin
    with is an original itself.
    """
    names = [name for name in files if not (own and name.endswith("_ref"))]
    originals = {name: max((n for n in names if name.startswith(f"{n}_")), key=len, default="") for name in names}
    for name, original in originals.items():
        if not original or name in originals.values():
            continue
        references = list(common.values())
        if own:
            references = [files[f"{n}_ref"] for n in (name, original) if f"{n}_ref" in files][:1]
            if not references:
                raise ProbeError(f"{files[name]}: its reference is missing, {name}_ref.* or {original}_ref.*.")
        paths = files[original], files[name], *references
        of_original, distorted, *others = ({"image": f"{path.parent.name}/{path.name}"} for path in paths)
        yield {"id": name, "original": of_original, "distorted": distorted, "references": others}


def measure(configuration: RunConfiguration, folder: Path, command: str, width: int) -> tuple[list[str], bool]:
    """Measure all cases of a folder, and write Table 1 and results.json.

    Returns:
        The lines for a terminal of that many columns; and whether a case could not be measured, or a file not written.
    """
    items = [(case, variant) for _, case, variant in configuration.items()]
    records = RunRecords()
    with closing(Session(configuration, items)) as session, progress("Table 1", len(items), "results") as advance:
        for case, variant in items:
            records.add({"case": session.row(case, variant)})
            advance(1)
    document, outcome = run_report.judged(configuration, records, command)
    counts = pass_fractions.count(document["cases"])
    shown, sentences = table(counts, folder), as_sentences(counts)
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
        count = counts.get(variant, probe)
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
    return counts.get(variant, probe).cell().text == published.cell(variant, probe) != ""


def as_sentences(counts: PassCounts) -> list[str]:
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
