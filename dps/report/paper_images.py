"""The paper's Table 1, measured on the paper's own images, from a clone of its authors' repository.

    images/{invert,rotate,translate,color_stain}/   originals NAME.*, and their distorted images NAME_*.*
    images/color_stain/                             references NAME_ref.* of NAME's distorted images, or NAME_*_ref.*
                                                    of one of them
    images/ref/                                     the seven references of the three other probes

None of it is part of dps.
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
"""Suffixes of image files, case-insensitive; other files are ignored."""


def load(places: Sequence[str | Path], *_: int | None) -> list[Probe]:
    """Read a clone of the authors' repository, or its folder ``images``, as probes; see `probes.load`.

    Raises:
        ProbeError: the folder has another layout, or an image cannot be read.
    """
    folder, table = Path(places[0]), published.table1()
    images = folder / "images" if (folder / "images").is_dir() else folder
    files = {name: _image_files(images / name) for name in table["probes"]}
    standard = _image_files(images / "ref")
    if not all(files.values()) or len(standard) != len(STANDARD_REFERENCES):
        counts = ", ".join(f"{len(paths)} in {name}" for name, paths in [*files.items(), ("ref", standard)])
        raise ProbeError(
            f"{images}: images found: {counts}; there must be some of each probe, and {len(STANDARD_REFERENCES)} in "
            f"ref. Name a clone of {table['images']}."
        )
    loaded = []
    for name, probe_files in files.items():
        place, references = images / name, None if name in table["own_references"] else [*standard.values()]
        try:
            probe = probes.from_data({"probe": name, "cases": list(_cases(probe_files, references))}, place)
        except ProbeError as error:
            raise ProbeError(str(error).replace(f"{place}:1: ", f"{place}: ")) from None
        cases = []
        for case in probe.cases:
            recipes = {key: replace(recipe, shared=references is not None) for key, recipe in case.references.items()}
            cases.append(replace(case, where=str(place), references=recipes))
        loaded.append(replace(probe, path=locations.data("paper.yaml"), cases=tuple(cases)))
    return loaded


def _image_files(folder: Path) -> dict[str, Path]:
    """Return the image files of a folder by name without suffix; none if there is no such folder."""
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return {path.stem: path for path in paths if path.suffix.lower() in SUFFIXES and path.name[0] != "."}


def _cases(files: Mapping[str, Path], references: Sequence[Path] | None) -> Iterator[dict[str, Any]]:
    """Yield a probe's cases as plain data; without common references, each has the one in the same folder.

    The original of an image has the longest name that is a prefix of the image's name. An image whose name is such a
    prefix is an original itself.
    """
    names = [name for name in files if not (references is None and name.endswith("_ref"))]
    originals = {name: max((n for n in names if name.startswith(f"{n}_")), key=len, default="") for name in names}
    for name, original in originals.items():
        if not original or name in originals.values():
            continue
        specific = [files[f"{n}_ref"] for n in (name, original) if f"{n}_ref" in files][:1]
        if references is None and not specific:
            raise ProbeError(f"{files[name]}: its reference is missing, {name}_ref.* or {original}_ref.*.")
        first, distorted, *others = (
            {"image": f"{path.parent.name}/{path.name}"}
            for path in (files[original], files[name], *(references or specific))
        )
        yield {"id": name, "original": first, "distorted": distorted, "references": others}


def measure(configuration: RunConfiguration, folder: Path, command: str, width: int) -> tuple[list[str], bool]:
    """Measure all cases of a folder, and write Table 1 and results.json.

    Returns:
        The lines for a terminal of `width` columns; and whether a case was not measured, or a file not written.
    """
    items = [(case, variant) for _, case, variant in configuration.items()]
    records = RunRecords()
    with closing(Session(configuration, items)) as session, progress("Table 1", len(items), "results") as advance:
        for case, variant in items:
            records.add({"case": session.row(case, variant)})
            advance(1)
    document, outcome = run_report.assemble(configuration, records, command)
    counts = pass_fractions.count(document["cases"])
    table1, sentences = table(counts, folder), as_sentences(counts)
    file_lines, failed = run_report.write(
        configuration.report_dir,
        {
            "results.json": lambda: json_lines(document),
            "table1.md": lambda: [
                "\n".join(
                    [*tables.as_section(table1), "", *(f"- {tables.escape_markdown(text)}" for text in sentences), ""]
                )
            ],
            "table1.tex": lambda: [tables.as_latex(table1)],
        },
    )
    texts = [*sentences, *(f"note: {note}" for note in [*findings.notes(document), *notes.lines()])]
    lines = [*gate.as_text(outcome.row, width, verbose=False), *tables.as_text(table1, width), ""]
    lines += [line for text in texts for line in wrapped(text, width)]
    return [*lines, *file_lines], failed or outcome.holds is False


def table(counts: PassCounts, folder: Path) -> Table:
    """Return Table 1 on the images of a folder; the paper's numbers are right of ours, marked with = if equal."""

    def cell(variant: VariantKey, probe: str) -> Cell:
        count = counts.get(variant, probe)
        unmeasured = f"({count.unmeasured} not measured)" if count.cases and count.unmeasured else ""
        return replace(count.cell(), detail=unmeasured)

    def published_cell(variant: VariantKey, probe: str) -> str:
        return f"{'= ' * _agree(counts, variant, probe)}{published.cell(variant, probe)}"

    note = "passed/cases; higher is better."
    if any(published.cell(*key) for key in counts.counts):
        note += f" paper: from {published.source()}, with = where it is the same as here."
    return tables.build(
        f"Table 1, on the images of {folder}", counts.variants, counts.probes, cell, published_cell, note
    )


def _agree(counts: PassCounts, variant: VariantKey, probe: str) -> bool:
    """Return whether the numbers of passed and of all cases are those of the paper."""
    return counts.get(variant, probe).cell().text == published.cell(variant, probe) != ""


def as_sentences(counts: PassCounts) -> list[str]:
    """Count the cells that agree with the paper, and name the probes with another number of cases."""
    keys = [(v, p) for v in counts.variants for p in counts.probes if published.cell(v, p)]
    sentences = [f"{sum(_agree(counts, *key) for key in keys)} of {len(keys)} cells agree with the paper's Table 1."]
    if not keys:
        sentences = ["The paper has no numbers for these metrics, networks and normalizations."]
    for probe, expected in zip(published.table1()["probes"], published.table1()["cases"], strict=True):
        cases = max(count.cases + count.unmeasured for (_, name), count in counts.counts.items() if name == probe)
        if cases != expected:
            sentences.append(
                f"{probe}: {cases} distorted images, but {expected} in the paper; its cells cannot be compared."
            )
    return sentences
