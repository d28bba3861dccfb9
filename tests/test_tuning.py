"""Tuned metrics: the linear program by hand, the file, and cases that are held out."""

import base64
import copy
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

import dps
from dps import images, networks, notes, probes, tuning, verdicts
from dps.cli import main
from dps.images import Triple, as_batch, make_image
from dps.metrics import tuned_files
from dps.options import Options
from dps.photographs import Photograph
from dps.report import tuning_page
from dps.session import tuning as sets
from dps.session.configuring import configure_measurement
from dps.tuning import CaseReference, Constraints, Contradiction
from dps.verdicts import CaseDistances
from tests.refusals import refusal
from tests.running import TINY, Suite, suite  # noqa: F401 - a fixture

pytest_plugins = ["pytester"]

WEIGHTS = {("sort", "none"): [0.0, 0.25, 0.0, 0.5, 0.0], ("mean", "unit"): [1.0, 0.0, 0.0, 0.0, 3.0]}
"""By comparison and normalization, for the five layers of AlexNet."""

LABEL = "alexnet-mixed-own.yaml"


def constraints(*differences: list[float], groups: str = "", cases: list[int] | None = None) -> Constraints:
    """One constraint of each case, unless their cases are given; a letter names each case's group."""
    places = np.arange(len(differences)) if cases is None else np.array(cases)
    count = places.max() + 1
    return Constraints(
        names=np.array([f"case-{i}" for i in range(count)]),
        groups=np.array(list(groups or "a" * count)),
        differences=np.array(differences, dtype=np.float64),
        cases=places,
        references=np.array(["gray"] * len(differences)),
        importance=np.ones(count),
        scale=np.ones(len(differences[0])),
    )


def test_weights_by_hand() -> None:
    # with x on the first part: (x - 2 (1 - x)) / 3 >= 0.02 from x = 0.68667 on, (-2 x + 3 (1 - x)) / 5 >= 0.02 up to
    # 0.58. Between these one loss falls as fast as the other rises, so the first part gets as much as it can.
    assert tuning.fit(constraints([1, -2], [-2, 3])).tolist() == [0.686667, 0.313333]
    # the second case weighs twice as much, alone in its group: x = 0.58
    two_to_one = constraints([1, -2], [0, 0.5], [-2, 3], groups="aab")
    assert tuning.fit(two_to_one).tolist() == [0.58, 0.42]


def test_of_equal_parts_the_first_has_all_weight() -> None:
    assert tuning.fit(constraints([1, 1, 1], [2, 2, 2])).tolist() == [1, 0, 0]


def test_weights_count_in_units_of_the_mean_reference_distance() -> None:
    scaled = replace(constraints([10, -20], [-20, 30]), scale=np.array([10.0, 10.0]))
    assert tuning.fit(scaled).tolist() == [0.0686667, 0.0313333]


def test_at_most_so_many_parts_have_a_weight() -> None:
    cases = constraints([1, -3, 0.5], [-2, 1, 0.5])
    assert (tuning.fit(cases) > 0).tolist() == [True, True, True]
    assert tuning.fit(cases, max_parts=1).tolist() == [0, 0, 1]


def test_what_is_asked_stays_the_same_when_a_part_is_dropped() -> None:
    # the third case needs 0.02 of the third part. Without that, with x on the first one, the loss of the second case,
    # 0.02 - (3 - 5 x) / 6, rises faster from x = 0.576 on than that of the first, 0.02 - (3 x - 2) / 20, falls
    cases = constraints([1, -2, -17], [-2, 3, 1], [0, 0, 1])
    assert tuning.fit(cases)[2] == 0.02
    assert tuning.fit(cases, max_parts=2).tolist() == [0.576, 0.424, 0]


def test_the_part_that_is_missed_least_is_dropped_not_the_smallest() -> None:
    # all four pass from x = 0.49733, y = 0.27867, z = 0.224 on. Without z the third case loses 0.02 + 1 / 6 and is a
    # group of its own; without y (x = 0.04) the first one loses 0.02 + 0.04 / 3 and is a third of its
    cases = constraints([-1, 2, 0], [1, 1, 1], [1, 1, 1], [-1, -1, 4], [1, -1, 0], groups="aaabc")
    assert tuning.fit(cases).tolist() == [0.497333, 0.278667, 0.224]
    assert tuning.fit(cases, max_parts=2).tolist() == [0.04, 0, 0.96]


def test_people_have_their_share_of_the_loss() -> None:
    cases, people = constraints([1, -1]), constraints([-1, 1])
    assert tuning.fit(cases, people, 0.4).tolist() == [0.52, 0.48]
    assert tuning.fit(cases, people, 0.6).tolist() == [0.48, 0.52]


@pytest.mark.parametrize(("value", "contradicts"), [(4.0, True), (4.1, False)])
def test_a_contradicting_pair_by_hand(value: float, contradicts: bool) -> None:
    # l (1, -2) + (1 - l) (-2, v) <= 0 for l <= 2/3 and l >= v / (v + 2), which is 2/3 for v = 4
    cases = constraints([1, -2], [-2, value], [-1, -1], groups="aba")
    found = tuning.contradictions(cases, np.array([1.0, 0.0]))
    example = CaseReference("case-0", "gray"), CaseReference("case-1", "gray")
    assert found == ([Contradiction(("a", "b"), 1, example)] if contradicts else [])
    assert tuning.impossible_cases(cases) == ["case-2"]


def test_a_case_is_passed_with_every_reference() -> None:
    cases = constraints([1, 0], [-1, 0], [1, 0], [0, 0], cases=[0, 0, 1, 2])
    assert cases.passed(np.array([1.0, 0.0])).tolist() == [False, True, False]


def test_leaving_a_group_out_shows_what_it_taught() -> None:
    cases = constraints([1, -2], [-2, 3], groups="ab")
    assert {group: passed.tolist() for group, passed in tuning.leave_one_out(cases, cases)} == {"a": [0], "b": [0]}
    alike = constraints([1, 0], [1, -1], groups="ab")
    assert {group: passed.tolist() for group, passed in tuning.leave_one_out(alike, alike)} == {"a": [1], "b": [1]}


def test_leaving_a_group_out_leaves_people_in_and_judges_what_is_held_out() -> None:
    cases, people = constraints([1, -2], [-2, 3], groups="ab"), constraints([-1, 1])
    left_out = tuning.leave_one_out(cases, constraints([1, -2], groups="a"), people, 1.0)
    assert [(group, passed.tolist()) for group, passed in left_out] == [("a", [0])]
    alone = tuning.leave_one_out(
        constraints([-2, 3], [1, -2], groups="ab"), constraints([-2, 3], groups="a"), people, 1
    )
    assert [(group, passed.tolist()) for group, passed in alone] == [("a", [1])]  # b alone would have it fail


# ------------------------------------------------------------------------------------------------- the file


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "own.yaml")


def write(path: Path) -> Path:
    path.write_text(tuned_files.text("own.yaml", networks.named("alexnet"), WEIGHTS, {}, {}), encoding="utf-8")
    return path


def test_distances_are_the_weighted_sum_of_the_parts(file: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)
    triple = Triple(
        original=make_image(pixels[0]), distorted=make_image(pixels[1]), references={"other": make_image(pixels[2])}
    )
    configuration = configure_measurement(Options(metric=["own.yaml", "sort", "mean"], network=["alexnet"]))
    engine = configuration.engine("alexnet")
    (outcomes,) = engine.measure([triple], configuration.variants)
    by_label = {str(v): outcome for v, outcome in outcomes.items() if isinstance(outcome, CaseDistances)}
    assert list(by_label) == [f"alexnet-{n}-{m}" for n in ("none", "unit") for m in ("sort", "mean")] + [LABEL]
    expected = sum(
        weight * by_label[f"alexnet-{normalization}-{name}"].distorted_layers[layer]
        for (name, normalization), of_layers in WEIGHTS.items()
        for layer, weight in enumerate(of_layers)
    )
    assert by_label[LABEL].distorted == pytest.approx(expected, rel=1e-12)
    assert by_label[LABEL].distorted_layers[2] == 0
    passed = verdicts.judge(by_label[LABEL]).passed_by_layer
    assert [each is None for each in passed] == [False, False, True, False, False]  # no vote without a weight
    a, b = (as_batch([image]) for image in pixels[:2])
    assert dps.load("own.yaml")(a, b).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("metric", "normalization", "closer"),
    [("tuned", "none", ["noise"]), ("spatial+0.5*sort", "unit", ["noise", "shifted"])],  # it hardly minds a shift
)
def test_minimizing_a_distance_leads_to_the_original(metric: str, normalization: str, closer: list[str]) -> None:
    distance = dps.load(metric, network="alexnet", normalization=normalization)
    seeded = torch.Generator().manual_seed(0)
    original = as_batch([Photograph("chelsea.png").reduced(64)[:64, :64]])
    starts = torch.cat([torch.rand(original.shape, generator=seeded), original.roll((4, 3), (2, 3))])
    images_ = starts.clone().requires_grad_()
    optimizer = torch.optim.Adam([images_], lr=0.01)
    for _ in range(40):
        optimizer.zero_grad()
        distance(original.expand_as(images_), images_.clamp(0, 1)).sum().backward()
        optimizer.step()
    with torch.no_grad():
        before, after = (distance(original.expand_as(images_), i.clamp(0, 1)) for i in (starts, images_))
    assert (after < 0.4 * before).all()
    pixels = [(i - original).square().mean(dim=(1, 2, 3)) for i in (starts, images_.detach().clamp(0, 1))]
    nearer = dict(zip(("noise", "shifted"), (pixels[1] < pixels[0]).tolist(), strict=True))
    assert all(nearer[start] for start in closer)


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("comparison: sort", "comparison: srot", "own.yaml:12: unknown comparison 'srot'. Did you mean 'sort'?"),
        ("    features.4: 0.25", "    features.3: 0.25", "own.yaml:14: unknown layer 'features.3'."),
        ("0.25", "-0.25", "own.yaml:15: parts.weights.features.4: input should be greater than or equal to 0; found"),
        ("0.25", ".nan", "own.yaml:15: parts.weights.features.4: input should be a finite number; found"),
        ("network:", "netwrok:", "own.yaml:3: unknown key 'netwrok'. Did you mean 'network'?"),
        ("sha256: b", "sha256: a", "metric 'own.yaml': alexnet has the weights, SHA-256 of the tensors, bfe63"),
    ],
)
def test_a_file_that_is_wrong_is_refused_in_one_line(file: Path, before: str, after: str, message: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after, 1), encoding="utf-8")
    assert refusal(lambda: configure_measurement(Options(metric=["own.yaml"]))).startswith(message)


def test_code_that_a_file_names_runs_only_where_it_is_allowed(file: Path) -> None:
    Path("code.py").write_text("raise RuntimeError('run')")
    file.write_text(
        file.read_text(encoding="utf-8").replace("network: alexnet", "network: code.py:net"), encoding="utf-8"
    )
    for measure in (lambda: configure_measurement(Options(metric=["own.yaml"])), lambda: dps.load(file)):
        assert refusal(measure) == (
            "code.py:net is code, which the file of a metric does not run; allow it: --network code.py:net"
        )
    assert "RuntimeError: run" in refusal(lambda: dps.load(file, network="code.py:net"))


def test_a_module_that_holds_a_distance_can_be_copied(file: Path) -> None:
    with torch.inference_mode():
        distance = dps.load(file)
    pixels = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    other = pixels[1:].clone().requires_grad_()
    copied = copy.deepcopy(torch.nn.ModuleList([distance]))[0]
    values = [each(pixels[:1], other) for each in (distance, copied)]
    assert values[0].item() == values[1].item() > 0
    values[1].sum().backward()
    assert other.grad is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"metric": ["own.yaml"], "network": ["vgg16"]},
            "metric 'own.yaml': was fitted to alexnet, not to vgg16; leave",
        ),
        ({"metric": ["own.yaml+sort"]}, "metric 'own.yaml+sort': own.yaml is a tuned sum itself, so it cannot be part"),
        ({"metric": ["none.yaml"]}, "none.yaml: cannot be read (No such file or directory)."),
        (
            {"metric": ["own.yaml"], "reduction": "mean"},
            "metric 'own.yaml': alexnet has the reduction mean, but was fitted with sum; leave --reduction mean out.",
        ),
    ],
)
@pytest.mark.usefixtures("file")
def test_what_does_not_fit_a_tuned_metric_is_refused(options: dict[str, Any], message: str) -> None:
    assert refusal(lambda: configure_measurement(Options(**options))).startswith(message)


@pytest.mark.parametrize("metric", ["tuned", "own.yaml"])
def test_a_run_measures_a_tuned_metric_once(suite: Suite, metric: str) -> None:
    write(Path("own.yaml"))
    run = suite("--metric", metric, "--network", "alexnet", "--probes=tiny.yaml")
    assert run.code == 0
    assert {(row["network"], row["normalization"], row["metric"]) for row in run.rows} == {("alexnet", "mixed", metric)}
    assert len(run.rows) == 3


# --------------------------------------------------------------------------------------- cases that are held out


def test_no_image_of_a_training_case_is_held_out_or_of_a_usual_run() -> None:
    halves = sets.halves(Options())
    drawn = {which: list(sets.draw(Options(size=64), which, 1, halves[which])) for which in sets.SHIFTS}
    drawn["usual"] = probes.load([probes.BUILT_IN], 2, 64)
    digests, names = {}, {}
    for which, loaded in drawn.items():
        originals = [case.original for probe in loaded for case in probe.cases]
        digests[which] = {each.image(each.draw(None, (64, 64)), (64, 64)).digest for each in originals}
        names[which] = {str(p) for probe in loaded for case in probe.cases for p in case.photographs()}
    assert not digests["training"] & (digests["held-out"] | digests["usual"])
    assert all(names[which] <= set(files) for which, files in sets.HALVES.items())
    assert all(len(of_set) > 30 for of_set in digests.values())


@pytest.mark.parametrize(("count", "training", "held_out"), [(3, "abc", ""), (5, "ace", "bd")])
def test_own_photographs_are_split_by_file(tmp_path: Path, count: int, training: str, held_out: str) -> None:
    notes.clear()
    for name in "abcde"[:count]:
        images.write(tmp_path / f"{name}.png", np.zeros((64, 64, 3), np.uint8))
    halves = sets.halves(Options(images=str(tmp_path)))
    for which, names in (("training", training), ("held-out", held_out)):
        files = [f"{name}.png" for name in names]
        assert [str(photograph) for photograph in halves[which]] == files
        assert all(set(photograph.pool) == set(files) or not held_out for photograph in halves[which])
    assert bool(notes.lines()) == (not held_out)


def test_from_probes_to_a_file_a_page_and_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    notes.clear()
    Path("tiny.yaml").write_text(TINY)
    scene = "{scene: patch, content: photo, side: 0.6, place: center, ground: white}"
    photographed = TINY.replace("tiny", "photographed").replace("$family", "$content")
    photographed = photographed.replace("{scene: pattern, family: {cycle: [rings, dots, stripes]}}", scene)
    Path("photographed.yaml").write_text(photographed)
    Path("own").mkdir()
    for name in "abc":
        pixels = np.random.default_rng(ord(name)).integers(0, 256, (64, 64, 3), np.uint8)
        images.write(Path("own") / f"{name}.png", pixels)
    probes_of_run = ["--probes", "tiny.yaml", "--probes", "photographed.yaml", "--images", "own"]
    words = ["tune", "--network", "squeezenet", "--cases", "3", *probes_of_run, "--out"]
    result = CliRunner().invoke(main, [*words, "mine.yaml"])
    assert result.exit_code == 0, result.output
    assert "photographed" in next(line for line in notes.lines() if line.startswith("in the training set, but"))
    assert "nan" not in result.output.casefold()
    assert "people was not measured and is unknown." in " ".join(result.output.split())
    written = Path("mine.yaml").read_text(encoding="utf-8")
    assert tuned_files.read(Path("mine.yaml"), "mine.yaml").fitted.keys() == {"squeezenet"}
    assert "</html>" in Path("mine.html").read_text(encoding="utf-8")
    Path("page.html").mkdir()
    again = CliRunner().invoke(main, [*words, "page.yaml"])
    assert (again.exit_code, again.output) == (
        4,
        "Error: --out page.yaml: a folder with this name exists; choose another name.\n",
    )
    assert CliRunner().invoke(main, [*words, "again.yaml"]).exit_code == 0
    assert Path("again.yaml").read_text(encoding="utf-8").replace("again.yaml", "mine.yaml") == written


def test_a_contradiction_is_shown_with_the_images_of_both_training_cases() -> None:
    drawn = {case.name: case for probe in probes.load([probes.BUILT_IN], 1, 64) for case in probe.cases}
    case, other = (next(name for name in drawn if name.startswith(probe)) for probe in ("rotate/", "translate/"))
    example = CaseReference(case, "gray"), CaseReference(other, "gray")
    result = SimpleNamespace(contradictions=[Contradiction(("rotate", "translate"), 1, example)], cases=drawn)
    shown = list(tuning_page.contradicting(result))  # type: ignore[arg-type]  # it needs no more of a result
    assert [entry["label"] for entry in shown] == [f"{case} against gray", f"{other} against gray"]
    for entry, name in zip(shown, (case, other), strict=True):
        triple = drawn[name].draw()
        pngs = [
            images.as_png(image.pixels, 64) for image in (triple.original, triple.distorted, triple.references["gray"])
        ]
        assert list(entry["images"]) == ["original", "distorted", "reference gray"]
        assert [base64.b64decode(uri.partition(",")[2]) for uri in entry["images"].values()] == pngs
