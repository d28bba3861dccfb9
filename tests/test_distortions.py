"""Distortions: of scenes, exactly; of pixels; and what they refuse."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dps import distortions
from dps.distortions import PIXEL_DISTORTIONS, SCENE_DISTORTIONS
from dps.errors import DrawError
from dps.images import Pixels
from dps.scenes import color
from dps.scenes.composition import patch
from dps.scenes.contents import CONTENTS, FILLERS
from dps.scenes.dice import Dice
from dps.scenes.plane import Scene, render

quickly = settings(max_examples=15, deadline=None, derandomize=True, database=None)


def object_on_ground(seed: int = 1, **parameters: Any) -> Scene:
    return patch(Dice(seed), **{"content": "bars", "side": 0.4, **parameters})


def rgb(scene: Scene) -> color.Array:
    return np.array(scene.ground)


# ----------------------------------------------------------------------------------------------- pixels


def test_invert_by_hand_leaves_its_argument_alone() -> None:
    pixels: Pixels = np.array([[[0, 255, 100], [1, 128, 127]]], dtype=np.uint8)
    inverted = distortions.invert(pixels, Dice(0))
    assert inverted.tolist() == [[[255, 0, 155], [254, 127, 128]]]
    assert inverted.dtype == np.uint8
    assert pixels[0, 0].tolist() == [0, 255, 100]


# --------------------------------------------------------------------------------------- turning, shifting


def test_rotate_by_a_right_angle_turns_the_pixels_clockwise() -> None:
    scene = object_on_ground(place="corner")
    turned = distortions.rotate(scene, Dice(0), degrees=90)
    assert (render(turned, 96) == np.rot90(render(scene, 96), -1)).all()
    back = distortions.rotate(turned, Dice(0), degrees=-90)
    assert (render(back, 96) == render(scene, 96)).all()


def test_rotate_keeps_the_ground_and_needs_no_dice() -> None:
    scene = object_on_ground(ground="blue")
    a, b = (distortions.rotate(scene, Dice(seed), degrees=33.0) for seed in (1, 2))
    assert (render(a, 48) == render(b, 48)).all()
    assert render(a, 48)[0, 0].tolist() == [0, 0, 255]


@given(right=st.integers(-12, 12), down=st.integers(-12, 12))
@quickly
def test_translate_by_32nds_shifts_whole_pixels(right: int, down: int) -> None:
    scene = object_on_ground(side=0.2)  # in the middle: 12/32 to any side stay inside the frame
    moved = distortions.translate(scene, Dice(0), right=right / 32, down=down / 32)
    assert (render(moved, 64) == np.roll(render(scene, 64), (2 * down, 2 * right), axis=(0, 1))).all()


def test_translate_goes_right_and_down_and_nowhere_by_default() -> None:
    scene = object_on_ground()
    left, top, right, bottom = scene.layers[-1].box()
    moved = distortions.translate(scene, Dice(0), right=0.25, down=0.125)
    assert moved.layers[-1].box() == pytest.approx((left + 0.25, top + 0.125, right + 0.25, bottom + 0.125))
    assert (render(distortions.translate(scene, Dice(0)), 32) == render(scene, 32)).all()


@given(seed=st.integers(0, 2**32 - 1), side=st.floats(0.3, 0.48))
@quickly
def test_translate_clear_finds_a_place_of_its_own(seed: int, side: float) -> None:
    scene = object_on_ground(seed, side=side, place="room_to_move")
    moved = distortions.translate_clear(scene, Dice(seed, "move"))
    before, after = (np.array(each.layers[-1].box()) for each in (scene, moved))
    assert np.abs(after - before).max() >= side - 1e-9  # so the two do not overlap
    assert after.min() >= -1e-9
    assert after.max() <= 1 + 1e-9
    assert (after - before)[:2] * 32 == pytest.approx(((after - before)[:2] * 32).round(), abs=1e-9)
    assert [moved.drawn["right"], moved.drawn["down"]] == pytest.approx((after - before)[:2], abs=1e-9)


def test_translate_clear_uses_many_places() -> None:
    scene = object_on_ground(place="room_to_move")
    places = {distortions.translate_clear(scene, Dice(seed)).layers[-1].box() for seed in range(30)}
    assert len(places) > 15


def test_translate_clear_refuses_what_has_no_room() -> None:
    with pytest.raises(DrawError, match="cannot be shifted clear of its old place; use place: room_to_move"):
        distortions.translate_clear(object_on_ground(side=0.5), Dice(0))


# ------------------------------------------------------------------------------------------------ stains


@pytest.mark.parametrize("seed", range(4))
def test_stain_makes_a_white_ground_strong_and_another_one_white(seed: int) -> None:
    stained = distortions.stain(object_on_ground(seed, ground="white"), Dice(seed))
    assert float(color.difference(rgb(stained), (1, 1, 1))) >= 60
    assert min(float(color.difference(rgb(stained), each)) for each in color.REFERENCE_COLORS.values()) >= 25
    back = distortions.stain(object_on_ground(seed, ground="strong", also_on="white"), Dice(seed))
    assert back.ground == (1, 1, 1)


def test_stain_without_strokes_leaves_the_object_as_it_was() -> None:
    scene = object_on_ground()
    stained = distortions.stain(scene, Dice(1))
    assert stained.layers == scene.layers
    before, after = render(scene, 96), render(stained, 96)
    middle = slice(96 * 32 // 100, 96 * 68 // 100)  # of an object whose side is 0.4, in the middle
    assert (after[middle, middle] == before[middle, middle]).all()
    assert (after[0, 0] != before[0, 0]).any()
    assert stained.drawn["strokes"] == 0
    assert stained.drawn["new_ground_color"] == "#" + bytes(after[0, 0].tolist()).hex()


def test_strokes_lie_on_the_ground_under_the_object() -> None:
    scene = object_on_ground()
    clean, dirty = (render(distortions.stain(scene, Dice(1), strokes=count), 96) for count in (0, 24))
    middle = slice(96 * 32 // 100, 96 * 68 // 100)
    assert (dirty[middle, middle] == clean[middle, middle]).all()
    ground = clean[0, 0]
    stained = (dirty != clean).any(axis=2)
    assert 0.02 < stained.mean() < 0.25
    inks = {tuple(pixel) for pixel in dirty[stained]}
    farthest = max(float(color.difference(np.array(ink) / 255, ground / 255)) for ink in inks)
    assert farthest >= 34.5  # 35, rounded to 8 bits


def test_more_strokes_stain_more() -> None:
    scene = object_on_ground()
    renders = [render(distortions.stain(scene, Dice(1), strokes=count), 48) for count in (0, 4, 40)]
    few, many = ((each != renders[0]).any(axis=2).mean() for each in renders[1:])
    assert 0 < few < many


# --------------------------------------------------------------------------------------- another object


@pytest.mark.parametrize("content", ["other", *FILLERS])
def test_replace_object_puts_something_as_large_in_the_old_place(content: str) -> None:
    scene = object_on_ground(content="mosaic", ground="strong")
    replaced = distortions.replace_object(scene, Dice(3), content=content)
    assert replaced.ground == scene.ground
    name = replaced.layers[-1].name
    assert name != "mosaic"
    assert name in (set(CONTENTS) - {"mosaic"} if content == "other" else {content})
    assert replaced.drawn["replaced_by"] == name
    old, new = (np.array(each.layers[-1].box()) for each in (scene, replaced))
    assert (old[:2] + old[2:]) / 2 == pytest.approx((new[:2] + new[2:]) / 2)
    was, now = ((render(each, 96) != render(each, 96)[0, 0]).any(axis=2).mean() for each in (scene, replaced))
    assert now == pytest.approx(was, rel=0.15)  # to the accuracy of counting a small thing's edge


def test_replace_object_stays_inside_the_frame() -> None:
    scene = object_on_ground(content="mosaic", side=0.5, place="corner")
    for seed in range(5):
        left, top, right, bottom = distortions.replace_object(scene, Dice(seed)).layers[-1].box()
        assert min(left, top) >= -1e-9
        assert max(right, bottom) <= 1 + 1e-9


def test_replace_object_gives_up_where_nothing_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distortions, "_differ", lambda *_scenes: False)
    with pytest.raises(DrawError, match="no acceptable drawing: flat that differs from bars"):
        distortions.replace_object(object_on_ground(), Dice(0), content="flat")


def test_an_object_differs_from_another_but_not_from_itself_or_its_like() -> None:
    scene, other = object_on_ground(content="bars"), object_on_ground(3, content="blob")
    assert distortions._differ(scene, other)
    assert not distortions._differ(scene, scene)


# ------------------------------------------------------------------------------------------------ tables


def test_no_name_stands_for_two_distortions() -> None:
    assert not SCENE_DISTORTIONS.keys() & PIXEL_DISTORTIONS.keys()
    for name, function in {**SCENE_DISTORTIONS, **PIXEL_DISTORTIONS}.items():
        assert function is getattr(distortions, name)


@pytest.mark.parametrize("name", SCENE_DISTORTIONS)
def test_a_scene_distortion_depends_on_its_dice_alone_and_changes_no_argument(name: str) -> None:
    given: dict[str, dict[str, Any]] = {
        "rotate": {"degrees": 30.0},
        "translate": {"right": 0.1},
        "stain": {"strokes": 9},
    }
    parameters = given.get(name, {})
    scene = object_on_ground(place="room_to_move")
    before, drawn = render(scene, 48), dict(scene.drawn)
    first, again = (render(SCENE_DISTORTIONS[name](scene, Dice(5), **parameters), 48) for _ in range(2))
    assert (first == again).all()
    assert (first != before).any()
    assert (render(scene, 48) == before).all()
    assert scene.drawn == drawn
