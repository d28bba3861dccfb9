"""The built-in probes: a drawn case is what its probe says, and the same as when the baseline was recorded."""

import functools
import itertools
import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dps import baseline, notes, probes
from dps.images import Pixels, Triple
from dps.probes import Case
from dps.probes.cases import _scene
from dps.scenes import color
from dps.scenes.contents import Grained
from dps.scenes.plane import Scene, grid, render
from dps.session.configuring import BUILT_IN_BASELINE

pytestmark = pytest.mark.xdist_group("built-in probes")  # in one process, which draws them once

BuiltIn = dict[str, tuple[Case, Triple]]
Mask = NDArray[np.bool_]


@pytest.fixture(scope="module")
def cases() -> dict[str, Case]:
    """Every case of the built-in probes."""
    return {case.name: case for probe in probes.load([probes.BUILT_IN]) for case in probe.cases}


@pytest.fixture(scope="module")
def built_in(cases: dict[str, Case]) -> BuiltIn:
    """Six to fourteen cases of each probe, drawn: an odd number apart, since some take turns with photographs."""
    of_probes = [list(group) for _, group in itertools.groupby(cases.values(), key=lambda case: case.probe)]
    chosen = [case for group in of_probes for case in group[:: len(group) // 8 | 1]]
    return {case.name: (case, case.draw()) for case in chosen}


def of(built_in: BuiltIn, probe: str) -> list[tuple[Case, Triple]]:
    return [(case, triple) for case, triple in built_in.values() if case.probe == probe]


def values(cases: dict[str, Case], probe: str, parameter: str) -> list[Any]:
    """Return a parameter of all cases of a probe."""
    return [case.values()[parameter] for case in cases.values() if case.probe == probe]


def scene_of(case: Case) -> Scene:
    scene = case.original.draw(None, case.shape)
    assert isinstance(scene, Scene)
    return scene


@functools.cache
def object_of(scene: Scene) -> tuple[Mask, Mask, float]:
    """Return which pixels a scene's object covers whole, which at all, and its part of the frame, without rendering."""
    x, y = ((axis + 1) / 2 for axis in grid(4 * 96))
    layer = scene.layers[-1]
    u, v = layer.place.inverse()(x, y)
    inside = np.maximum(np.abs(u), np.abs(v)) <= 1
    inside[inside] = layer.paint(u[inside], v[inside])[1]
    points = inside.reshape(96, 4, 96, 4)
    count = points.sum(axis=(1, 3))
    return count == 16, count > 0, float(inside.mean())


def test_built_in_probes_have_their_default_counts(cases: dict[str, Case]) -> None:
    drawn, photographed = (
        Counter(case.probe for case in cases.values() if bool(case.photographs()) == photographs)
        for photographs in (False, True)
    )
    papers = {"invert": 24, "translate": 24, "color_stain": 48, "rotate": 60}
    assert papers.items() <= drawn.items()
    sanity = {probe.name for probe in probes.load([probes.BUILT_IN]) if probe.sanity}
    both = {probe: (drawn[probe], photographed[probe]) for probe in drawn if probe not in papers}
    assert {both.pop(probe) for probe in sanity} == {(3, 3)}
    assert min(min(counts) for counts in both.values()) >= 5
    assert max(max(counts) for counts in both.values()) <= 16
    assert len(drawn) == 29
    assert set(photographed) == set(drawn) - {"invert"}


def test_built_in_probes_say_what_they_ask_and_why() -> None:
    notes.clear()
    built_in = probes.load([probes.BUILT_IN])
    assert not notes.lines()  # nothing in the folder is skipped
    for probe in built_in:
        assert probe.asks.endswith("?")
        assert probe.because.endswith(".")
        assert "drawn here" in probe.source
    papers = {probe.name for probe in built_in if probe.source.startswith("arXiv:2207.02512, S")}
    assert papers >= {"invert", "rotate", "translate", "color_stain", "order_translate", "order_rotate"}


OWN_REFERENCES = {
    "color_stain": ["replace_object"],
    "stain_noise": ["replace_object"],
    "detail": ["remove_object", "replace_object"],
    "moved_camera": ["remove_object", "replace_object"],
    "shuffle": ["shuffle"],
    "rearrange": ["rearrange"],
    "grain": ["remove_grain"],
    "other_background": ["replace_background"],
    "other_colors": ["recolor"],
    "unnoticed": ["damage"],
    "upright": ["rotate"],
}
"""Of probes that do not have the seven standard references."""


def test_references_are_the_seven_standard_ones_or_their_own(built_in: BuiltIn) -> None:
    seven = ["black", "white", "gray", "red", "green", "blue", "random"]
    for case, triple in built_in.values():
        own = [case.distorted.label] if case.probe.startswith("order_") else OWN_REFERENCES.get(case.probe, seven)
        assert list(triple.references) == own


def test_in_order_probes_the_reference_is_changed_far_more(built_in: BuiltIn) -> None:
    ordered = set()
    for case, triple in built_in.values():
        if case.probe.startswith("order_"):
            ordered.add(case.probe)
            (mild,), (strong,) = case.distorted.steps, next(iter(case.references.values())).steps
            assert mild.parameters.keys() == strong.parameters.keys()
            for key, value in mild.parameters.items():
                identity = {"quality": 100, "factor": 1}.get(key, 0)
                assert abs(strong.parameters[key] - identity) > 2 * abs(value - identity) > 0
                assert (strong.parameters[key] - identity) * (value - identity) > 0  # in the same direction
                assert triple.drawn[f"reference_{key}"] == strong.parameters[key]
    assert ordered == {f"order_{what}" for what in ("translate", "rotate", "noise", "blur", "jpeg", "contrast")}


def test_what_says_how_far_a_case_is_distorted_is_a_number_of_every_case(built_in: BuiltIn) -> None:
    graded = {probe.name: probe.severity for probe in probes.load([probes.BUILT_IN]) if probe.severity}
    for name, severity in graded.items():
        far = [triple.drawn.get(severity.by) for _, triple in of(built_in, name)]
        numbers = [value for value in far if isinstance(value, int | float) and not isinstance(value, bool)]
        assert len(numbers) == len(far) if name != "lighting" else len(numbers) == 8, name  # the others are dimmed
        assert len(set(numbers)) > 1, name
    without = {"invert", "flip", "shuffle", "combined"} | OWN_REFERENCES.keys() - {
        "color_stain",
        "stain_noise",
        "grain",
    }
    assert set(graded) == {case.probe for case, _ in built_in.values()} - without


def people() -> dict[str, float]:
    """The severity from which people notice a change, by probe."""
    severities = {probe.name: probe.severity for probe in probes.load([probes.BUILT_IN]) if probe.severity}
    return {name: severity.people.notice for name, severity in severities.items() if severity.people}


def test_the_thresholds_are_the_published_ones() -> None:
    """arXiv:2407.17927; its authors' code has images of 256 pixels, and 29.2 pixels a degree."""
    assert people() == {
        **dict.fromkeys(("rotate", "order_rotate"), 3.6),
        **dict.fromkeys(
            ("translate", "translate_colored", "order_translate", "crop_shift"), round(0.23 * 29.2 / 256, 3)
        ),
        "scale": 1.026,
    }


def test_a_moved_camera_shows_no_border(built_in: BuiltIn) -> None:
    """The content reaches a quarter beyond the frame, so more of it comes in, and most of it stays in view."""
    for case, triple in of(built_in, "crop_shift"):
        moved = [abs(float(str(triple.drawn[key]))) for key in ("right", "down")]
        assert max(moved) <= 0.1 < (1.25 - 1) / 2, case.name


def test_what_was_drawn_is_written_down_in_plain_data(built_in: BuiltIn) -> None:
    for _, triple in built_in.values():
        assert json.loads(json.dumps(triple.drawn)) == triple.drawn
        assert triple.drawn["scene"] in ("pattern", "patch", "view", "setting", "arrangement")


def test_parameters_of_one_name_are_told_apart(built_in: BuiltIn) -> None:
    for case, triple in of(built_in, "combined"):
        if "turned-recolored" in case.id:
            rotated, recolored = case.distorted.steps
            assert triple.drawn["rotate_degrees"] == rotated.parameters["degrees"]
            assert triple.drawn["recolor_degrees"] == recolored.parameters["degrees"]
            assert "degrees" not in triple.drawn


def test_invert_exchanges_black_and_white(built_in: BuiltIn, cases: dict[str, Case]) -> None:
    for case, triple in of(built_in, "invert"):
        assert (triple.distorted.pixels == 255 - triple.original.pixels).all(), case.name
        assert 0.25 <= (triple.original.pixels < 128).mean() <= 0.75, case.name
        assert (np.ptp(triple.original.pixels, axis=2) == 0).all(), case.name  # gray alone
    assert set(Counter(values(cases, "invert", "original.family")).values()) == {2}
    off_black = values(cases, "invert", "original.off_black")
    assert sum(value == 0 for value in off_black) == 18  # three in four
    assert max(off_black) <= 0.12


def test_rotate_turns_each_scene_by_five_angles_and_keeps_the_object_whole(
    built_in: BuiltIn, cases: dict[str, Case]
) -> None:
    angles: dict[str, list[str]] = {}
    for case in cases.values():
        if case.probe == "rotate":
            scene, _, angle = case.id.rpartition("-")
            angles.setdefault(scene, []).append(angle)
    assert list(angles.values()) == [["22.5", "45", "67.5", "90", "180"]] * (12 + 8)  # drawn ones and photographs
    assert sum("off-center" in scene for scene in angles) == 2 + 2
    for case, triple in of(built_in, "rotate"):
        assert case.id.endswith(f"-{triple.drawn['degrees']:g}")
        ground = triple.original.pixels[0, 0]
        both = triple.original.pixels, triple.distorted.pixels
        assert all((pixels[[0, 0, -1, -1], [0, -1, 0, -1]] == ground).all() for pixels in both), case.name
        before, after = (np.abs(pixels - ground.astype(float)).sum() for pixels in both)
        assert after == pytest.approx(before, rel=0.02), case.name  # nothing left the frame


def test_translate_shifts_the_object_clear_of_its_old_place_on_a_plain_ground(
    built_in: BuiltIn, cases: dict[str, Case]
) -> None:
    plain = {"#000000", "#808080", "#ff0000", "#00ff00", "#0000ff"}
    for case, triple in of(built_in, "translate"):
        ground = (np.array(scene_of(case).ground) * 255).round()
        before, after = ((image.pixels != ground).any(axis=2) for image in (triple.original, triple.distorted))
        assert before.sum() == after.sum() > 0, case.name  # none of it left the frame
        assert not (before & after).any(), case.name
        assert triple.drawn["ground_color"] in (plain if triple.drawn["ground"] == "reference" else {"#ffffff"})
        assert 0.30 <= float(str(triple.drawn["side"])) < 0.48, case.name
        assert "distance" in triple.drawn
    assert Counter(values(cases, "translate", "original.ground")) == {"white": 24, "reference": 24}


def rgb_of(hexadecimal: object) -> color.Array:
    """``#ff8000`` as RGB in [0, 1]."""
    return np.array([int(str(hexadecimal)[i : i + 2], 16) / 255 for i in (1, 3, 5)])


def is_unlike_references(rgb: color.Array) -> bool:
    """25 CIELAB from each, less what writing it down in 8 bits may take."""
    return min(float(color.difference(rgb, reference)) for reference in color.REFERENCE_COLORS.values()) >= 24.5


def test_translate_colored_has_a_ground_unlike_every_reference(built_in: BuiltIn) -> None:
    for case, triple in of(built_in, "translate_colored"):
        assert is_unlike_references(rgb_of(triple.drawn["ground_color"])), case.name


def test_color_stain_keeps_the_object_and_changes_the_ground(built_in: BuiltIn, cases: dict[str, Case]) -> None:
    for case, triple in of(built_in, "color_stain"):
        whole, touched, share = object_of(scene_of(case))
        original, distorted = triple.original.pixels, triple.distorted.pixels
        assert 0.14 < share < 0.31, case.name  # of the frame; 0.15 to 0.30 to the accuracy of its estimate
        assert (distorted[whole] == original[whole]).all(), case.name
        old, new = rgb_of(triple.drawn["ground_color"]), rgb_of(triple.drawn["new_ground_color"])
        assert (original[~touched] == np.round(old * 255)).all(), case.name
        clean = (distorted[~touched] == np.round(new * 255)).all(axis=1).mean()
        assert clean == 1 if triple.drawn["strokes"] == 0 else 0.7 < clean < 1, case.name
        assert color.difference(old, new) >= 60, case.name
        white, other = sorted((old, new), key=lambda rgb: float(rgb.sum()), reverse=True)
        assert (white == 1).all(), case.name
        assert is_unlike_references(other), case.name
        for ground in (old, new):
            assert np.median(color.difference(original[whole] / 255, ground)) >= 34, case.name  # 35, as drawn
    strokes = values(cases, "color_stain", "distorted.stain.strokes")
    assert strokes[: 2 * 45].count(0) == 2 * 27  # drawn ones and photographs in turn
    assert all(8 <= count <= 24 for count in strokes if count)
    assert values(cases, "color_stain", "original.ground").count("white") == 48


def test_color_stain_reference_has_the_old_ground_and_clearly_another_object(built_in: BuiltIn) -> None:
    for case, triple in of(built_in, "color_stain"):
        scene = scene_of(case)
        whole, _, share = object_of(scene)
        ((name, how),) = case.references.items()
        replaced = how.draw(scene, case.shape)
        assert isinstance(replaced, Scene)
        _, now_touched, now_share = object_of(replaced)
        original, reference = triple.original.pixels, triple.references[name].pixels
        assert (reference[~now_touched] == np.round(np.array(scene.ground) * 255)).all(), case.name
        assert now_share == pytest.approx(share, rel=0.03), case.name  # of the same area
        small, large = sorted((each.layers[-1].box() for each in (scene, replaced)), key=lambda box: box[2] - box[0])
        outside = [large[0] - small[0], large[1] - small[1], small[2] - large[2], small[3] - large[3]]
        assert max(outside) < 1e-9, case.name  # at the same place
        a, b = original[whole] / 255, reference[whole] / 255
        assert np.median(color.difference(a, b)) >= 29, case.name  # 30, as judged on 48 x 48 pixels
        light_a, light_b = a @ color.LUMA, b @ color.LUMA
        if min(light_a.std(), light_b.std()) > 1e-6:
            assert np.corrcoef(light_a, light_b)[0, 1] <= 0.53, case.name  # 0.5, judged likewise
        assert triple.drawn["replaced_by"] != triple.drawn.get("photo", triple.drawn["content"]), case.name


def test_color_stain_is_replaced_by_another_content_half_the_time(cases: dict[str, Case]) -> None:
    contents = Counter(values(cases, "color_stain", "references.0.replace_object.content"))
    assert contents["other"] == contents["flat"] + contents["block_noise"] == 48


def test_built_in_probes_draw_what_the_baseline_was_recorded_with(built_in: BuiltIn) -> None:
    """JPEG is left out there: its decoders may differ in the last bit. `make bench` holds all cases."""
    recorded = baseline.read(Path(BUILT_IN_BASELINE)).images
    digests = {name: triple.digest for name, (_, triple) in built_in.items() if name in recorded}
    assert len(digests) > 130
    changed = [name for name, digest in digests.items() if digest != recorded[name]]
    assert not changed, "if they were meant to change, so do results: say so in CHANGELOG.md, and record the baseline"


def test_a_case_that_once_could_not_be_drawn() -> None:
    """At the object's edge, both were mixed with the same white ground, and so a flat red was found like a terrain."""
    stained = next(probe for probe in probes.load([probes.BUILT_IN], 160) if probe.name == "color_stain")
    triple = next(case for case in stained.cases if case.id == "terrain-079").draw()
    assert triple.drawn["replaced_by"] == "flat"


def test_no_pixel_hangs_on_a_last_bit(built_in: BuiltIn, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sines, roots and Fourier transforms differ in their last bits from machine to machine; drawings must not."""
    one_each = {case.probe: (case, triple) for case, triple in built_in.values()}
    far = {case.id: case for probe in probes.load([probes.BUILT_IN / "rotate.yaml"], 200) for case in probe.cases}
    tie = far["bars-017-45"]  # its bars' borders run through points that are sampled
    one_each["tie"] = tie, tie.draw()
    last_bit = np.random.default_rng(1)

    def unsteady(function: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*args: Any, **named: Any) -> Any:
            exact = function(*args, **named)
            return exact * (1 + np.finfo(float).eps * last_bit.integers(-1, 2, np.shape(exact)))

        return changed

    for module, names in {np: "sin cos exp hypot arctan2 cbrt", np.fft: "rfft2 irfft2", math: "sin cos tan"}.items():
        for name in names.split():
            monkeypatch.setattr(module, name, unsteady(getattr(module, name)))
    _scene.cache_clear()
    render.cache_clear()
    changed = [case.name for case, triple in one_each.values() if case.draw().digest != triple.digest]
    _scene.cache_clear()
    render.cache_clear()
    assert not changed


def cells(pixels: Pixels, per_side: int) -> list[Pixels]:
    """The squares of an image, row by row, less the fifth at their borders that shows the ground."""
    size = 96 // per_side
    margin = math.ceil(size / 10)
    inner = [slice(i * size + margin, (i + 1) * size - margin) for i in range(per_side)]
    return [pixels[rows, columns] for rows in inner for columns in inner]


def test_rearrange_shows_the_same_objects_none_of_them_where_it_was(built_in: BuiltIn) -> None:
    for case, triple in of(built_in, "rearrange"):
        before, after = (cells(image.pixels, 2) for image in (triple.original, triple.references["rearrange"]))
        differences = np.array([[np.abs(a.astype(int) - b).max() for b in after] for a in before])
        assert (differences.min(axis=1) <= 1).all(), case.name  # each is somewhere
        assert (np.diag(differences) > 30).all(), case.name  # and not where it was


@pytest.mark.parametrize("probe", ["detail", "moved_camera"])
def test_one_of_nine_objects_is_removed_or_replaced(built_in: BuiltIn, probe: str) -> None:
    for case, triple in of(built_in, probe):
        (ground,) = {tuple(corner) for corner in triple.original.pixels[[0, 0, -1, -1], [0, -1, 0, -1]].tolist()}
        changed = {}
        for name, reference in triple.references.items():
            pairs = zip(cells(triple.original.pixels, 3), cells(reference.pixels, 3), strict=True)
            changed[name] = [place for place, (a, b) in enumerate(pairs) if (a != b).any()]
        (place,) = changed["remove_object"]
        assert changed["replace_object"] == [place], case.name
        assert (cells(triple.references["remove_object"].pixels, 3)[place] == ground).all(), case.name


@pytest.mark.parametrize("probe", ["unnoticed", "moved_camera"])
def test_the_camera_moves_less_than_people_notice(cases: dict[str, Case], probe: str) -> None:
    limits = people()
    shift, angle, factor = (limits[name] for name in ("translate", "rotate", "scale"))
    kinds = Counter[str]()
    for case in cases.values():
        if case.probe != probe:
            continue
        (step,) = case.distorted.steps
        kinds[step.name] += 1
        values = step.parameters
        assert math.hypot(values.get("right", 0), values.get("down", 0)) < shift, case.name
        assert abs(values.get("degrees", 0)) < angle, case.name
        assert 1 / factor < values.get("factor", 1) < factor, case.name
    assert set(kinds) == {"translate", "rotate", "zoom"}
    assert max(kinds.values()) == min(kinds.values())


def test_grain_is_as_strong_before_and_after_and_nothing_else_changes(built_in: BuiltIn) -> None:
    for case, triple in of(built_in, "grain"):
        scene = scene_of(case)
        (layer,) = scene.layers
        assert isinstance(layer.paint, Grained)
        clean = triple.references["remove_grain"].pixels.astype(float)
        before, after = (image.pixels - clean for image in (triple.original, triple.distorted))
        inside = (clean > 60).all(axis=2) & (clean < 195).all(axis=2)  # where no grain is clipped
        strength = 255 * float(str(triple.drawn["grain"]))
        if inside.sum() > 500:
            assert before[inside].std() == pytest.approx(strength, rel=0.1), case.name
            assert after[inside].std() == pytest.approx(strength, rel=0.1), case.name
            assert abs(np.corrcoef(before[inside].ravel(), after[inside].ravel())[0, 1]) < 0.15, case.name


def test_other_background_keeps_the_object(built_in: BuiltIn) -> None:
    for case, triple in of(built_in, "other_background"):
        whole, touched, _ = object_of(scene_of(case))
        original, reference = triple.original.pixels, triple.references["replace_background"].pixels
        assert (original[whole] == reference[whole]).all(), case.name
        around = color.difference(original[~touched] / 255, reference[~touched] / 255)
        assert np.median(around) > 20, case.name  # 30 over the whole frame


def test_upright_is_turned_by_a_right_angle_or_two(built_in: BuiltIn) -> None:
    for case, triple in of(built_in, "upright"):
        turned = [np.rot90(triple.original.pixels, k) for k in (1, 2, 3)]
        assert any((triple.references["rotate"].pixels == each).all() for each in turned), case.name
