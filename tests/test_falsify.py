"""Falsify: the mildest case that fails is found, and its YAML draws the same pixels and fails again."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor

from dps import falsify, images, metrics, probes
from dps.cli import main
from dps.distortions import DISTORTIONS
from dps.errors import MetricError, UsageError
from dps.falsify import Search, search
from dps.measurement import Engine
from dps.metrics import Metric, Variant
from dps.probes import Probe
from dps.scenes.parameters import parameters
from dps.verdicts import CaseDistances, judge

CONTRAST = """
probe: contrast
size: 32
cases:
  - id: $family-$number
    draw: 3
    original: {scene: pattern, family: {cycle: [rings, dots, stripes]}}
    distorted: {contrast: {factor: {between: [0.2, 0.9]}}}
    references:
      - contrast: {factor: 0.5}
"""
"""To `pixel` the image whose contrast is nearer to 1 is the closer one, whatever the scene."""

PIXEL = Variant(metric=metrics.IMAGE_METRICS["pixel"], network=None, normalization=None)


def probe_of(text: str, folder: Path, name: str = "asked.yaml") -> Probe:
    (folder / name).write_text(text, encoding="utf-8")
    (probe,) = probes.load([folder / name])
    return probe


def searched(text: str, folder: Path, variant: Variant = PIXEL, **more: Any) -> Search:
    return search(probe_of(text, folder), variant, Engine(), **{"tries": 150, **more})


def test_the_mildest_that_fails_is_found(tmp_path: Path) -> None:
    found = searched(CONTRAST, tmp_path)
    assert found.mildest is not None
    # from 0.9 to 0.2 in steps of 0.007: the 57th is 0.501, at which black is 127.5 * 0.499 = 63.6, rounded 64 as
    # at 0.5: a tie, which is no pass; the 56th is 0.508 and 62.7
    assert found.mildest.declared["distorted"] == {"contrast": {"factor": 0.501}}
    assert found.mildest.severity == 57
    assert found.mildest.verdict.nearest_reference == "contrast"
    assert falsify.in_words(found.mildest) == "contrast: {factor: 0.501}"
    assert found.measured + found.not_drawn <= 150


def test_the_printed_case_draws_the_same_pixels_and_fails_again(tmp_path: Path) -> None:
    found = searched(CONTRAST, tmp_path).mildest
    assert found is not None
    text, seed, family = falsify.as_yaml(found), found.declared["seed"], found.declared["original"]["family"]
    assert text == (
        f"  - id: pixel-{seed}\n"
        f"    seed: {seed}\n"
        f"    original: {{scene: pattern, family: {family}}}\n"
        "    distorted:\n"
        "      contrast: {factor: 0.501}\n"
        "    references:\n"
        "    - contrast: {factor: 0.5}\n"
    )
    again = probe_of(CONTRAST + text, tmp_path, "added.yaml").cases[0]  # explicit cases stand first
    assert again.id == f"pixel-{seed}"
    triple = again.draw()
    assert triple.digest == found.case.draw().digest
    outcome = Engine().measure([triple], [PIXEL])[0][PIXEL]
    assert isinstance(outcome, CaseDistances)
    assert judge(outcome) == found.verdict
    assert not judge(outcome).passed


def test_the_same_seed_finds_the_same_case(tmp_path: Path) -> None:
    one, two = (searched(CONTRAST, tmp_path, seed=3, tries=60).mildest for _ in range(2))
    assert one is not None
    assert two is not None
    assert one.declared == two.declared


def test_where_nothing_fails_all_tries_are_spent(tmp_path: Path) -> None:
    found = searched(CONTRAST.replace("[0.2, 0.9]", "[0.6, 0.9]"), tmp_path, tries=40)
    assert (found.mildest, found.interrupted) == (None, False)
    assert found.measured == 40


def test_ctrl_c_keeps_the_best_so_far(tmp_path: Path) -> None:
    count = 0

    def interrupt(more: int) -> None:
        nonlocal count
        count += more
        if count == 12:
            raise KeyboardInterrupt

    found = searched(CONTRAST, tmp_path, advance=interrupt)
    assert found.interrupted
    assert found.measured < 12
    assert found.mildest is not None
    assert not found.mildest.verdict.passed


def test_a_distortion_without_numbers_has_no_mildest(tmp_path: Path) -> None:
    def blind(a: Tensor, b: Tensor) -> Tensor:
        return torch.ones(len(a)) * (a != b).flatten(1).any(1)

    text = CONTRAST.replace("{contrast: {factor: {between: [0.2, 0.9]}}}", "{invert: {}}")
    variant = Variant(metric=Metric(name="blind", distance=blind), network=None, normalization=None)
    found = searched(text, tmp_path, variant)
    assert not found.graded
    assert found.mildest is not None
    assert falsify.in_words(found.mildest) == "invert: {}"


def test_a_case_that_cannot_be_drawn_is_no_failure(tmp_path: Path) -> None:
    text = CONTRAST.replace("contrast: {factor: {between: [0.2, 0.9]}}", "shuffle: {patch: {deal: [4, 8, 12]}}")
    found = searched(text, tmp_path, tries=20)  # 32 pixels are not made of patches of 12
    assert found.not_drawn > 0
    assert found.mildest is not None
    assert found.mildest.declared["distorted"] == {"shuffle": {"patch": 8}}  # the larger, the milder


def raises(_a: Tensor, _b: Tensor) -> Tensor:
    raise RuntimeError("broken")


def not_a_number(a: Tensor, _b: Tensor) -> Tensor:
    return torch.full((len(a),), torch.nan)


@pytest.mark.parametrize(
    ("distance", "message"), [(raises, "^metric 'mine': RuntimeError: broken$"), (not_a_number, "not finite")]
)
def test_a_case_that_could_not_be_measured_ends_the_search(distance: Any, message: str, tmp_path: Path) -> None:
    variant = Variant(metric=Metric(name="mine", distance=distance), network=None, normalization=None)
    with pytest.raises(MetricError, match=message):
        searched(CONTRAST, tmp_path, variant)


def test_a_probe_of_files_has_nothing_to_search(tmp_path: Path) -> None:
    for name, value in (("a", 30), ("b", 90)):
        images.write(tmp_path / f"{name}.png", torch.full((16, 16, 3), value, dtype=torch.uint8).numpy())
    text = "probe: files\ncases:\n  - id: one\n    original: {image: a.png}\n    distorted: {image: b.png}\n"
    with pytest.raises(UsageError, match=r"asked\.yaml: nothing to search; all distorted images are files\.$"):
        searched(text + "    references: standard\n", tmp_path)


@pytest.mark.parametrize("probe", probes.load([probes.BUILT_IN], 1), ids=lambda probe: probe.name)
def test_every_built_in_probe_can_be_searched(probe: Probe) -> None:
    found = search(probe, PIXEL, Engine(), tries=2)
    assert found.measured + found.not_drawn in (1, 2)


# ------------------------------------------------------------------------------------------ what mild means


@pytest.mark.parametrize(
    ("distortion", "parameter", "value", "scales"),
    [
        ("rotate", "degrees", {"between": [3.0, 8.0]}, [(3.0, 8.0)]),
        ("rotate", "degrees", {"between": [-90.0, -20.0]}, [(-20.0, -90.0)]),
        ("rotate", "degrees", {"each": [22.5, 45.0, 180.0]}, [(22.5, 180.0)]),
        ("zoom", "factor", {"deal": [{"between": [0.6, 0.9]}, {"between": [1.1, 1.5]}]}, [(0.9, 0.6), (1.1, 1.5)]),
        ("stain", "strokes", {"deal": [0, 0, {"between": [8, 24]}]}, [(0, *range(8, 25))]),
        ("jpeg", "quality", {"between": [10, 13]}, [(13, 12, 11, 10)]),
        ("shuffle", "patch", {"deal": [16, 32]}, [(32, 16)]),
        ("rotate", "degrees", 45.0, []),
    ],
)
def test_scales_go_from_the_mildest_to_the_strongest(
    distortion: str, parameter: str, value: Any, scales: list[tuple[float, ...]]
) -> None:
    assert falsify._scales(distortion, parameter, value) == scales


def test_every_number_that_a_distortion_takes_has_a_value_that_changes_nothing() -> None:
    for name, distortion in DISTORTIONS.items():
        for key, parameter in parameters(distortion).items():
            numeric = parameter.type.core_schema["type"] in ("int", "float")
            assert numeric == (parameter.identity is not None), f"{name}: {key}"


# ------------------------------------------------------------------------------------------- as users run it


def command(folder: Path, *options: str) -> Any:
    place = folder / "asked.yaml"
    place.write_text(CONTRAST, encoding="utf-8")
    out = folder / "sheets"
    return CliRunner().invoke(main, ["falsify", f"--probes={place}", f"--out={out}", "--metric=pixel", *options])


def test_found_is_exit_code_1_and_the_output_can_be_appended(tmp_path: Path) -> None:
    done = command(tmp_path, "contrast", "--tries=150")
    assert done.exit_code == 1
    found = re.match(r"contrast/(pixel-\d+): distorted at ", done.stderr)
    assert found is not None
    assert "contrast: {factor: 0.501}: the mildest that fails, of " in done.stderr
    assert (tmp_path / "sheets" / f"contrast-{found[1]}.png").read_bytes().startswith(b"\x89PNG")
    (probe,) = [probe_of(CONTRAST + done.stdout, tmp_path)]
    assert [case.id for case in probe.cases] == [found[1], "rings-000", "dots-001", "stripes-002"]


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("mild", 0, "pixel fails none of 1 cases of mild\n"),
        ("contrats", 4, "Error: unknown probe 'contrats'. Did you mean 'contrast'? Known: contrast, mild.\n"),
    ],
)
def test_nothing_found_is_exit_code_0_and_a_wrong_question_4(
    name: str, code: int, message: str, tmp_path: Path
) -> None:
    mild = tmp_path / "mild.yaml"
    mild.write_text(CONTRAST.replace("probe: contrast", "probe: mild").replace("[0.2, 0.9]", "[0.6, 0.9]"))
    done = command(tmp_path, name, f"--probes={mild}", "--tries=1")
    assert (done.exit_code, done.stdout, done.stderr) == (code, "", message)
