"""Probe files: what they may say, what each of them draws, and one clear line for each mistake."""

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dps import notes, probes
from dps.errors import DrawError, ProbeError
from dps.images import Pixels
from dps.probes import Case, ranges

CASE = {
    "id": "rings",
    "original": "{scene: pattern, family: rings}",
    "distorted": "{invert: {}}",
    "references": "standard",
}
OK = "probe: p\ncases:\n  - id: rings\n    original: {scene: pattern, family: rings}\n"
OK += "    distorted: {invert: {}}\n    references: standard\n"


def case_text(**changed: object) -> str:
    """A probe file of one case: id on line 3, original on 4, distorted on 5, references on 6, others after."""
    entry = {**CASE, **changed}
    keys = [f"    {key}: {value}" for key, value in entry.items()]
    return "\n".join(["probe: p", "cases:", "  - " + keys[0].strip(), *keys[1:], ""])


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder, so that messages name its files without the way to them."""
    monkeypatch.chdir(tmp_path)
    notes.clear()
    return tmp_path


def why(text: str | bytes) -> str:
    """The message about one probe file, ``f.yaml`` in the working folder."""
    Path("f.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ProbeError) as caught:
        probes.load(["f.yaml"])
    message = str(caught.value)
    assert "\n" not in message
    return message


def loaded(text: str, cases: int | None = None) -> tuple[Case, ...]:
    """The cases of one probe file."""
    Path("f.yaml").write_text(text, encoding="utf-8")
    (probe,) = probes.load(["f.yaml"], cases)
    return probe.cases


def rows(table: str) -> list[tuple[str, str]]:
    """The lines of a table, each ``left => right``."""
    parts = [line.partition(" => ") for line in table.strip().splitlines()]
    return [(left.strip(), right) for left, _, right in parts]


def save(name: str, pixels: Pixels | None = None, **options: Any) -> Path:
    """An image file; its format is told by the options or the name."""
    if pixels is None:
        pixels = np.random.default_rng(len(name)).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    path = Path(name)
    PIL.Image.fromarray(pixels).save(path, **options)
    return path


# --------------------------------------------------------------------------------------- files and folders


def test_a_place_without_probes_is_named_and_deeper_folders_are_not_searched(here: Path) -> None:
    (here / "folder" / "p.yaml").mkdir(parents=True)
    (here / "deep" / "deeper").mkdir(parents=True)
    (here / "deep" / "deeper" / "p.yaml").write_text(OK, encoding="utf-8")
    none = r"deep: no \*\.yaml or \*\.yml in this folder \(subfolders are not searched\)"
    for place, message in {
        "nowhere.yaml": r"nowhere\.yaml: no such file or folder of probes\.",
        "folder": r"folder/p\.yaml: cannot be read \(Is a directory\)\.",
        "deep": none + r"\.",
    }.items():
        with pytest.raises(ProbeError, match=f"^{message}$"):
            probes.load([place])
    (here / "deep" / "p.yaml.txt").write_text(OK, encoding="utf-8")
    with pytest.raises(ProbeError, match=none + "; p.yaml.txt looks like a probe file: pass its path, or rename it"):
        probes.load([here / "deep"])


def test_a_folder_is_read_in_order_of_names_and_each_file_once(here: Path) -> None:
    for name in ("b.yml", "a.yaml", "c.YAML", "dog.png"):
        (here / name).write_text(OK.replace("probe: p", f"probe: {name[0]}"), encoding="utf-8")
    loaded = probes.load([here, "a.yaml", here / "b.yml"])
    assert [(probe.name, str(probe.path)) for probe in loaded] == [("a", "a.yaml"), ("b", "b.yml"), ("c", "c.YAML")]
    assert not notes.lines()
    for name in ("a.yaml~", "d.yaml.txt"):
        (here / name).write_text(OK, encoding="utf-8")
    assert len(probes.load([here])) == 3
    only = "only *.yaml and *.yml files of a folder are read."
    assert notes.lines() == [f"probes not read in 2 files (a.yaml~, d.yaml.txt): {only}"]


def test_one_probe_in_two_files_names_both(here: Path) -> None:
    for name in ("a", "b"):
        (here / f"{name}.yaml").write_text(OK, encoding="utf-8")
    with pytest.raises(ProbeError, match=r"^probe 'p' is declared in a\.yaml and b\.yaml; names must differ\.$"):
        probes.load([here])


def test_a_file_of_a_mebibyte_or_more_is_not_read(here: Path) -> None:
    with (here / "f.yaml").open("wb") as file:  # 100 MB, were it not sparse
        file.truncate(100_000_000)
    began = time.process_time()
    with pytest.raises(ProbeError, match=r"^f\.yaml: more than 1,048,576 bytes, which is too large for a declaration"):
        probes.load(["f.yaml"])
    assert time.process_time() - began < 1


# ------------------------------------------------------------------------------------------------- YAML


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# nothing\n", "1: the file is empty."),
        ("- a\n- b\n", "1: a probe file is a mapping that begins with 'probe: NAME'."),
        ("probe: [a\n", "2: not YAML: expected ',' or ']', but got '<stream end>'."),
        ("probe: \0\n", " not YAML: unacceptable character #x0000"),
        (b"probe: \xe4\n", " not UTF-8 text (byte 7)."),
        (OK + "---\n" + OK, "7: not YAML: but found another document."),
        (OK + "probe: q\n", "7: key 'probe' appears twice in a mapping."),
        ("no: a\n", "1: keys must be text, found no; put it in quotes."),
        ("[a]: b\n", "1: keys must be text, found a list or mapping; put it in quotes."),
        (OK + "asks: 2001-99-99\n", "7: '2001-99-99' is not a valid timestamp; put text in quotes."),
        (OK + "asks: !!bool foo\n", "7: 'foo' is not a valid bool; put text in quotes."),
        (OK + "size: " + "9" * 5000 + "\n", "7: '9999999999"),
        (OK + r'"a\ude00": b', r"7: 'a\ude00' is not a valid str"),
        (OK + "asks: !!set {a}\n", "7: tag 'tag:yaml.org,2002:set' is not allowed; write plain mappings, lists and"),
        (OK + "<<: {asks: a}\n", "7: tag 'tag:yaml.org,2002:merge' is not allowed; write plain mappings, lists and"),
        (OK + 'asks: !!python/object/apply:os.system ["touch ran"]\n', "7: tag 'tag:yaml.org,2002:python/object/apply"),
        ("a: &a x\n", "1: anchors and aliases (& and *) are not allowed; write the value out."),
        ("a: 1\nb: *a\n", "2: anchors and aliases (& and *) are not allowed; write the value out."),
        ("[" * 60_000, "1: nested more than 50 deep, which is too deep for a declaration."),
        ("{a: " * 5_000, "1: nested more than 50 deep"),
        ("\n".join(" " * depth + "a:" for depth in range(500)), "51: nested more than 50 deep"),
    ],
    ids=lambda part: str(part)[:40],
)
def test_what_is_not_plain_yaml_is_refused_at_once(here: Path, text: str | bytes, message: str) -> None:
    began = time.process_time()
    assert why(text).startswith(f"f.yaml:{message}")
    assert time.process_time() - began < 2
    assert not (here / "ran").exists()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_and_the_emoji_of_json_tools_are_read(here: Path, encoding: str) -> None:
    data = {
        "probe": "p",
        "asks": "\U0001f600?",
        "cases": [{**CASE, "original": {"scene": "pattern", "family": "dots"}}],
    }
    Path("f.yaml").write_text(json.dumps(data).replace('"{invert: {}}"', '{"invert": {}}'), encoding=encoding)
    (probe,) = probes.load(["f.yaml"])
    assert probe.asks == "\U0001f600?"


# ------------------------------------------------------------------------------------- what a file declares


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("probe: p\n", "1: key 'cases' is missing."),
        ("probe: p\ncases: {a: 1}\n", "2: cases: input should be a valid list; found dict {'a': 1}."),
        ("probe: p\ncases: []\n", "2: cases: list should have at least 1 item"),
        ("probe: p\ncases: [a]\n", "2: cases: it should be a mapping; found str 'a'."),
        (OK.replace("probe: p", "probe: p q"), "1: probe: a name may have only letters without accents, digits,"),
        (OK + "    sed: 3\n", "7: unknown key 'sed'. Did you mean 'seed'? Known: asks, distorted, draw,"),
        (OK + OK.partition("cases:\n")[2], "7: case id 'rings' occurs 2 times; ids must differ in a probe."),
        (OK.replace("    references: standard\n", ""), "3: key 'references' is missing."),
        *((f"{OK}{added}\n", message) for added, message in rows("""
severity: {by: a} => 7: key 'unit' is missing.
severity: {by: a, unit: b, per: 1} => 7: unknown key 'per'. Known: by, people, unit.
severity: {by: a, unit: b, people: {notice: .nan, source: c}} => 7: severity.people.notice: input should be a finite
severity: {by: a, unit: b, people: {notise: 1, source: c}} => 7: unknown key 'notise'. Did you mean 'notice'? Known: n
SIZES: 3 => 7: unknown key 'SIZES'. Did you mean 'size'? Known: asks, because, cases,
size: 7 => 7: size: input should be greater than or equal to 8; found int 7.
size: '96' => 7: size: input should be a valid integer; found str '96'.
        """)),
    ],
)  # fmt: skip
def test_a_mistake_in_a_file_names_its_line(here: Path, text: str, message: str) -> None:
    assert why(text).startswith(f"f.yaml:{message}")


@pytest.mark.parametrize(
    ("changed", "message"),
    rows(r"""
original: [a] => 4: original: {image: FILE} or {scene: NAME, ...}; found ['a'].
original: dog.png => 4: original: an image file is written {image: dog.png}; found 'dog.png'.
original: {} => 4: original: {image: FILE} or {scene: NAME, ...}; found {}.
original: rings => 4: original: {image: FILE} or {scene: NAME, ...}; found 'rings'.
original: {invert: {}} => 4: original: {image: FILE} or {scene: NAME, ...}; keys found: 'invert'.
original: {scene: patern} => 4: unknown scene 'patern'. Did you mean 'pattern'? Known: arrangement, patch,
original: {scene: 3} => 4: scene: a name, found 3.
original: {scene: pattern} => 4: pattern needs 'family'; it takes family, off_black.
original: {scene: pattern, famly: rings} => 4: unknown key 'famly'; pattern takes family, off_black.
original: {scene: pattern, family: ringss} => 4: family: unknown name 'ringss'. Did you mean 'rings'? Known: blobs,
original: {scene: pattern, family: rings, off_black: 0.5} => 4: off_black: input should be less than or equal to 0.25;
original: {scene: pattern, family: rings, off_black: .nan} => 4: off_black: input should be less than
original: {scene: pattern, family: rings, off_black: a} => 4: off_black: input should be a valid number
distorted: invert => 5: distorted: a distortion is written {invert: {}}; found 'invert'.
distorted: {invrt: {}} => 5: unknown distortion 'invrt'. Did you mean 'invert'? Known: contrast, everyday,
distorted: {scene: pattern, family: dots} => 5: distorted: a scene is not allowed here; name a distortion of the
distorted: {rotate: 45} => 5: rotate takes a mapping of parameters, found 45.
distorted: {rotate: {}} => 5: rotate needs 'degrees'; it takes degrees.
distorted: {rotate: {angel: 45}} => 5: unknown key 'angel'; rotate takes degrees.
distorted: {rotate: {degrees: 400}} => 5: degrees: input should be less than 360; found 400.
distorted: {invert: {by: 1}} => 5: unknown key 'by'; invert takes no parameters.
distorted: {invert: {}, rotate: {degrees: 4}} => 5: distortions of scenes come before those of pixels: 'invert', 'rotat
references: standart => 6: references: 'standard', or a non-empty list of images, distortions
references: [] => 6: references: 'standard', or a non-empty list
references: [blakc] => 6: unknown reference 'blakc'. Did you mean 'black'? Known: black, blue, gray,
references: [3] => 6: a reference: {image: FILE}, a distortion, a scene, or one of black, white, gray, red,
references: [dog.JPG] => 6: reference: an image file is written {image: dog.JPG}; found 'dog.JPG'.
references: [blur] => 6: reference: a distortion is written {blur: {sigma: ...}}; found 'blur'.
references: [{replace_object: {content: x}}] => 6: content: unknown name 'x'. Known: block_noise, flat, other.
id: "a\nb" => 3: cases.id: it must be one line of text without control characters, not empty; found 'a\nb'.
id: 007 => 3: cases.id: YAML reads 007 as 7, not as text; put it in quotes: "007".
id: => 3: cases.id: a text is missing.
id: $nubmer; draw: 1 => 3: id: unknown name 'nubmer'. Did you mean 'number'? Known: family, number, s
id: 'a-$'; draw: 1 => 3: id: $ must be followed by a name, as in $number, or by another $; found 'a-$'.
draw: 2 => 3: case id 'rings' occurs 2 times; ids must differ in a probe.
draw: 0 => 7: cases.draw: input should be greater than or equal to 1; found int 0.
draw: 1.5 => 7: cases.draw: input should be a valid integer; found float 1.5.
seed: -1 => 7: cases.seed: input should be greater than or equal to 0; found int -1.
distorted: {rotate: {degrees: {each: [1, 2]}}} => 3: a value is drawn, so the case needs 'draw: COUNT'.
    """),
)
def test_a_mistake_in_a_case_names_its_line(here: Path, changed: str, message: str) -> None:
    keys = dict(key.split(":", 1) for key in changed.split("; "))
    assert why(case_text(**keys)).startswith(f"f.yaml:{message}")


@pytest.mark.parametrize("value", ["1e3", "0o17", "~a", "salt & pepper", "'<<'", "'='"])
def test_what_yaml_takes_for_text_is_an_id(here: Path, value: str) -> None:
    assert loaded(case_text(id=value))[0].id == value.strip("'")


def test_all_mistakes_of_all_files_are_told_at_once_a_misspelt_key_instead_of_a_missing_one(here: Path) -> None:
    text = case_text(original="dog.png", seed=-1).replace("distorted:", "distortion:").replace("references:", "")
    Path("f.yaml").write_text(text.replace("     standard\n", "") + CASE_2, encoding="utf-8")
    Path("g.yaml").write_text("probe: p\ncases:\n" + CASE_2 * 5, encoding="utf-8")
    with pytest.raises(ProbeError) as caught:
        probes.load([here])
    mistakes = str(caught.value).splitlines()
    assert mistakes[:8] == [
        "f.yaml:3: key 'references' is missing.",
        "f.yaml:4: original: an image file is written {image: dog.png}; found 'dog.png'.",
        "f.yaml:5: unknown key 'distortion'. Did you mean 'distorted'? Known: asks, distorted, draw, id, original, "
        "references, seed, source.",
        "f.yaml:6: cases.seed: input should be greater than or equal to 0; found int -1.",
        "f.yaml:8: unknown key 'famly'; pattern takes family, off_black.",
        "f.yaml:9: degrees: input should be less than 360; found 400.",
        "f.yaml:9: factor: input should be greater than 0; found -1.",
        "f.yaml:10: unknown reference 'blakc'. Did you mean 'black'? Known: black, blue, gray, green, noise, random, "
        "red, white.",
    ]
    assert all(mistake.startswith("g.yaml:") for mistake in mistakes[8:])
    assert len(mistakes[8:]) == 11  # ten of a file, and how many more there are
    assert mistakes[-1] == "g.yaml: 10 more faults."


CASE_2 = """  - id: second
    original: {scene: pattern, famly: rings}
    distorted: {rotate: {degrees: 400}, contrast: {factor: -1}}
    references: [blakc]
"""


@pytest.mark.parametrize(
    ("value", "message"),
    rows("""
{between: [2, 1]} => between takes two numbers, the lower one first, found [2, 1].
{between: [1]} => between takes two numbers, the lower one first, found [1].
{between: [true, 2]} => between takes two numbers, the lower one first, found [True, 2].
{between: [.nan, 1]} => between takes two numbers, the lower one first, found [nan, 1].
{between: [1, .inf]} => input should be less than 360; found inf.
{betwen: [1, 2]} => unknown range 'betwen'. Did you mean 'between'? Known: between, cycle,
{between: [1, 2], each: [1]} => a drawn value is a mapping of one key, between, cycle, deal, each;
{} => a drawn value is a mapping of one key, between, cycle, deal, each; found {}.
{cycle: []} => cycle takes a non-empty list, found [].
{cycle: [1, a]} => input should be a valid number; found 'a'.
{deal: 3} => deal takes a non-empty list, found 3.
{deal: [1, {between: [2, 1]}]} => between takes two numbers, the lower one first, found [2, 1].
{cycle: [{each: [1]}]} => each is not allowed inside another list of values.
[1, 2] => input should be a valid number; found [1, 2].
    """),
)
def test_a_malformed_range_names_its_line(here: Path, value: str, message: str) -> None:
    text = case_text(id="a-$number-$degrees", distorted=f"{{rotate: {{degrees: {value}}}}}", draw=2)
    assert why(text).startswith("f.yaml:5: degrees: " + message)


def test_a_short_text_cannot_stand_for_millions_of_cases(here: Path) -> None:
    many = ", ".join(str(n / 1000) for n in range(400))
    distorted = f"{{translate: {{right: {{each: [{many}]}}, down: {{each: [{many}]}}}}}}"
    text = case_text(id="$number-$right-$down", distorted=distorted, draw=2)
    assert why(text) == "f.yaml:3: this declares 320,000 cases; at most 100,000 are allowed."


# ------------------------------------------------------------------------------------------- image files


def test_image_files_of_all_formats_make_a_case(here: Path) -> None:
    a = np.random.default_rng(1).integers(0, 256, (30, 50, 3), dtype=np.uint8)
    save("a.png", a)
    save("b.png", 255 - a, format="JPEG")  # told by its content, not its name
    save("c.bmp", a // 2)
    save("d.tiff", a // 3)
    save("e.webp", a // 4, lossless=True)
    references = "[{image: c.bmp}, {image: d.tiff}, {image: e.webp}, black, black, {invert: {}}]"
    (case,) = loaded(file_case(references=references))
    assert case.shape == (30, 50)
    triple = case.draw()
    assert (triple.original.pixels == a).all()
    assert list(triple.references) == ["c.bmp", "d.tiff", "e.webp", "black", "black-2", "invert"]
    assert (triple.references["e.webp"].pixels == a // 4).all()
    assert triple.references["black"].pixels.shape == (30, 50, 3)
    assert (triple.references["invert"].pixels == 255 - a).all()  # a file can be distorted by pixels


def test_image_files_stand_relative_to_their_probe_file(here: Path) -> None:
    (here / "folder" / "images").mkdir(parents=True)
    save("folder/images/a.png")
    save("folder/images/bb.png")
    (here / "folder" / "p.yaml").write_text(
        file_case(original="{image: images/a.png}", distorted="{image: images/bb.png}"), encoding="utf-8"
    )
    assert probes.load(["folder"])[0].cases[0].shape == (40, 40)


def file_case(**changed: object) -> str:
    return case_text(**{"original": "{image: a.png}", "distorted": "{image: b.png}", **changed})


@pytest.mark.parametrize(
    ("changed", "message"),
    rows("""
original: {image: nothing.png} => 4: nothing.png: no such image file.
distorted: {image: nothing.png} => 5: nothing.png: no such image file.
references: [{image: nothing.png}] => 6: nothing.png: no such image file.
original: {image: text.png} => 4: text.png: not an image that can be read; PNG, JPEG, BMP, TIFF, WEBP can,
original: {image: [a.png]} => 4: image: a path, found ['a.png'].
original: {image: a.png, size: 3} => 4: unknown key 'size'; an image file takes only its path
distorted: {image: other.png} => 5: other.png has 50 x 30 pixels, but its case 40 x 40; all images of a case must
original: {scene: pattern, family: dots} => 5: b.png has 40 x 40 pixels, but its case 96 x 96; all images of a
references: [{image: other.png}] => 6: other.png has 50 x 30 pixels, but its case 40 x 40;
distorted: {image: same.bmp} => 3: case 'rings': the distorted image equals the original, so there is nothing
references: [black, {image: same.bmp}] => 3: case 'rings': reference 'same.bmp' equals the original, so
original: {image: black.png} => 3: case 'rings': reference 'black' equals the original, so there is nothing
distorted: {rotate: {degrees: 45}} => 5: rotate distorts a scene, but the original is a file; this image must be a file,
references: [black, {replace_object: {}}] => 6: replace_object distorts a scene, but the original is a file; this
    """),
)
def test_a_wrong_image_file_names_its_line(here: Path, changed: str, message: str) -> None:
    a = np.random.default_rng(1).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    save("a.png", a)
    save("same.bmp", a)
    save("b.png", 255 - a)
    save("black.png", a * 0)
    save("other.png", np.zeros((30, 50, 3), dtype=np.uint8))
    Path("text.png").write_text("no image", encoding="utf-8")
    assert why(file_case(**dict([changed.split(": ", 1)]))).startswith(f"f.yaml:{message}")


def test_a_mistake_by_what_is_dropped_of_a_file_says_so(here: Path) -> None:
    a = np.random.default_rng(1).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    save("a.png", a)
    save("b.png", np.dstack([a, a[..., 0]]))
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    save("c.png", np.rot90(a), exif=exif)
    what = "the distorted image (alpha channel dropped) equals the original, so there is nothing to compare."
    assert why(file_case()) == f"f.yaml:3: case 'rings': {what}"
    measures = "c.png has 40 x 60 pixels (EXIF orientation not applied), but its case 60 x 40"
    assert why(file_case(distorted="{image: c.png}")).startswith(f"f.yaml:5: {measures}; all images of a case must")


# ---------------------------------------------------------------------------------------------- ranges

numbers = st.integers(-1000, 1000) | st.floats(-1000, 1000)
plain = numbers | st.text(max_size=5) | st.booleans()
drawn_plainly = st.one_of(
    plain,
    st.tuples(st.integers(-50, 0), st.integers(1, 50)).map(lambda ends: {"between": list(ends)}),
    st.lists(plain, min_size=1, max_size=4).map(lambda options: {"cycle": options}),
    st.lists(plain, min_size=1, max_size=4).map(lambda options: {"deal": options}),
)
values = st.dictionaries(st.text(min_size=1, max_size=8), drawn_plainly, max_size=5)
seeds = st.integers(0, 2**32)
scenes = st.integers(0, 10_000)
quickly = settings(max_examples=40, deadline=None, derandomize=True, database=None)


@given(declared=values, more=values, seed=seeds, number=scenes)
@quickly
def test_a_value_does_not_change_the_others(
    declared: dict[str, Any], more: dict[str, Any], seed: int, number: int
) -> None:
    (alone,) = ranges.expand(declared, seed, number)
    (together,) = ranges.expand({**more, **declared}, seed, number)
    assert {place: together[place] for place in alone} == alone


@given(low=st.integers(-50, 0), high=st.integers(1, 50), seed=seeds, number=scenes)
@quickly
def test_between_stays_between_and_is_whole_where_both_ends_are(low: int, high: int, seed: int, number: int) -> None:
    whole = ranges.draw({"between": [low, high]}, seed, number, "x")
    assert isinstance(whole, int)
    assert low <= whole <= high
    real = ranges.draw({"between": [float(low), high]}, seed, number, "x")
    assert isinstance(real, float)
    assert low <= real < high


def test_a_drawn_value_depends_on_seed_number_and_place_alone() -> None:
    value = {"between": [0.0, 1.0]}
    first = ranges.draw(value, 1, 2, "original.side")
    assert first == ranges.draw(value, 1, 2, "original.side")
    others = [ranges.draw(value, *at) for at in ((2, 2, "original.side"), (1, 3, "original.side"), (1, 2, "side"))]
    assert len({first, *others}) == 4


@given(options=st.lists(st.integers(0, 5), min_size=1, max_size=7), seed=seeds, lap=st.integers(0, 50))
@quickly
def test_deal_uses_all_options_in_each_lap(options: list[int], seed: int, lap: int) -> None:
    begin = lap * len(options)
    dealt = [ranges.draw({"deal": options}, seed, begin + i, "x") for i in range(len(options))]
    assert sorted(dealt) == sorted(options)


def test_deal_shuffles_each_pass_and_cycle_does_not() -> None:
    options = list(range(6))
    passes = [[ranges.draw({"deal": options}, 1, 6 * number + i, "x") for i in range(6)] for number in range(5)]
    assert len({tuple(dealt) for dealt in passes}) > 1
    assert [ranges.draw({"cycle": options}, 1, number, "x") for number in range(13)] == [*options, *options, 0]


def test_an_option_may_be_drawn_itself() -> None:
    value = {"deal": [0, 0, {"between": [8, 24]}]}
    found = [ranges.draw(value, 5, number, "strokes") for number in range(30)]
    assert found.count(0) == 20
    assert all(8 <= strokes <= 24 for strokes in found if strokes)
    assert len(set(found)) > 4
    (first, second) = ranges.expand({"x": {"each": [{"between": [8, 24]}, 3]}}, 5, 0)
    assert 8 <= first["x"] <= 24
    assert second["x"] == 3


def test_each_makes_the_product_on_one_scene() -> None:
    declared = {"a": {"each": [1, 2]}, "b": {"each": ["x", "y", "z"]}, "c": {"between": [0.0, 1.0]}, "d": 4}
    found = list(ranges.expand(declared, 1, 2))
    assert [(values["a"], values["b"]) for values in found] == [
        (1, "x"), (1, "y"), (1, "z"), (2, "x"), (2, "y"), (2, "z"),
    ]  # fmt: skip
    assert len({values["c"] for values in found}) == 1
    assert all(list(values) == list(declared) for values in found)
    assert [ranges.count(value) for value in declared.values()] == [2, 3, 1, 1]


# ------------------------------------------------------------------------------------- expanding to cases


@pytest.fixture(scope="module")
def two_hundred() -> dict[str, tuple[Case, ...]]:
    """The built-in probes with 200 cases each."""
    return {probe.name: probe.cases for probe in probes.load([probes.BUILT_IN], 200)}


@pytest.mark.parametrize("wanted", [1, 11, None])
def test_fewer_cases_are_the_beginning_of_more(two_hundred: dict[str, tuple[Case, ...]], wanted: int | None) -> None:
    for probe in probes.load([probes.BUILT_IN], wanted):
        # equal cases have equal recipes, and those are all that their images depend on
        assert two_hundred[probe.name][: len(probe.cases)] == probe.cases
        assert len({case.id for case in two_hundred[probe.name]}) == 200
        whole = {"rotate": 5, "shuffle": 2}.get(probe.name, 1)  # cases a scene
        if wanted is not None:
            assert len(probe.cases) == math.ceil(wanted / whole) * whole


def test_cases_of_two_ranges_alternate_in_the_declared_proportion(here: Path) -> None:
    entry = OK.partition("cases:\n")[2]
    text = "probe: p\ncases:\n" + entry.replace("id: rings", "id: a-$number\n    draw: 4")
    text += entry.replace("id: rings", "id: plain") + entry.replace("id: rings", "id: b-$number\n    draw: 2")
    expected = ["a-000", "a-001", "b-000", "a-002", "a-003", "b-001"]
    assert [case.id for case in loaded(text)] == ["plain", *expected]  # what is not drawn comes first
    assert [case.id for case in loaded(text, 5)] == ["plain", *expected[:5]][: len(loaded(text, 5))]
    assert [case.id for case in loaded(text, 7)][:7] == ["plain", *expected]


def test_a_parameter_more_leaves_the_images_as_they_were(here: Path) -> None:
    common = {"id": "$number", "draw": 3, "distorted": "{rotate: {degrees: {between: [10.0, 80.0]}}}"}
    scene = "{scene: patch, content: {deal: [bars, mosaic]}, side: {between: [0.3, 0.5]}%s}"
    before = loaded(case_text(**common, original=scene % ""))
    after = loaded(case_text(**common, original=scene % ", place: center, ground: {cycle: [white]}"))
    assert [case.draw().digest for case in before] == [case.draw().digest for case in after]


def test_size_is_the_drawn_images_size(here: Path) -> None:
    (case,) = loaded(OK + "size: 64\n")
    assert case.shape == (64, 64)
    assert {image.pixels.shape for image in (case.draw().original, *case.draw().compared)} == {(64, 64, 3)}


@pytest.mark.parametrize(
    ("changed", "message"),
    rows("""
distorted: {rotate: {degrees: 0}} => the distorted image equals the original, so there is nothing to compare.
references: [black, {rotate: {degrees: 0}}] => reference 'rotate' equals the original, so there is nothing to compare.
original: {scene: patch, content: bars} => patch takes exactly one of side and cover
original: {image: a.png} => a scene is square, but the case's images are 50 x 30 pixels
    """),
)
def test_what_only_drawing_shows_names_the_declaration(here: Path, changed: str, message: str) -> None:
    save("a.png", np.zeros((30, 50, 3), dtype=np.uint8))
    references = "[{scene: pattern, family: dots}]"
    (case,) = loaded(case_text(**{"references": references, **dict([changed.split(": ", 1)])}))
    with pytest.raises(DrawError) as caught:
        case.draw()
    assert str(caught.value) == f"f.yaml:3: case 'rings': {message}"


def test_standard_references_by_hand(here: Path) -> None:
    references = loaded(OK)[0].draw().references
    colors = {name: image.pixels[5, 7].tolist() for name, image in references.items() if name != "random"}
    assert colors == {
        "black": [0, 0, 0], "white": [255, 255, 255], "gray": [128, 128, 128],
        "red": [255, 0, 0], "green": [0, 255, 0], "blue": [0, 0, 255],
    }  # fmt: skip
    noise = references["random"].pixels
    assert 120 < noise.mean() < 135
    assert (noise.min(), noise.max()) == (0, 255)
    assert all(image.shared for image in references.values())
    (case,) = loaded(case_text(references="[noise, random]"))
    assert case.draw().references == {"random": references["random"], "random-2": references["random"]}
