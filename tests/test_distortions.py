"""Distortions: of scenes, exactly; of pixels; and what they refuse."""

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from dps.distortions import PIXEL_DISTORTIONS, images, scenes
from dps.errors import DrawError
from dps.images import Pixels
from dps.probes.recipes import DISTORTIONS
from dps.scenes import color
from dps.scenes.composition import arrangement, patch, view
from dps.scenes.contents import CONTENTS
from dps.scenes.plane import Scene, render
from dps.scenes.rng import Rng

quickly = settings(max_examples=15, deadline=None, derandomize=True, database=None)


def object_on_ground(seed: int = 1, **parameters: Any) -> Scene:
    return patch(Rng(seed), 96, **{"content": "bars", "side": 0.4, **parameters})


# ----------------------------------------------------------------------------------------------- pixels


def test_invert_and_flip_by_hand() -> None:
    pixels: Pixels = np.array([[[0, 255, 100], [1, 128, 127]]], dtype=np.uint8)
    assert images.invert(pixels, Rng(0)).tolist() == [[[255, 0, 155], [254, 127, 128]]]
    assert images.flip(pixels, Rng(0)).tolist() == [[[1, 128, 127], [0, 255, 100]]]


def some_pixels(height: int = 24, width: int = 32, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_blur_is_scipys_gaussian_filter() -> None:
    pixels = some_pixels()
    for sigma in (0.5, 1.0, 3.3):
        expected = ndimage.gaussian_filter(pixels.astype(float), (sigma, sigma, 0), mode="nearest", truncate=4)
        assert np.abs(images.blur(pixels, Rng(0), sigma=sigma) - expected).max() <= 0.51  # rounded once
    flat: Pixels = np.full((9, 9, 3), 77, dtype=np.uint8)
    assert (images.blur(flat, Rng(0), sigma=2.0) == flat).all()


def test_noise_has_the_deviation_that_was_asked_for() -> None:
    middle: Pixels = np.full((128, 128, 3), 128, dtype=np.uint8)
    noisy = images.noise(middle, Rng(1), deviation=0.1).astype(float)
    assert noisy.mean() == pytest.approx(128, abs=0.5)
    assert noisy.std() == pytest.approx(25.5, rel=0.02)
    assert (images.noise(middle, Rng(1), deviation=0.1) == noisy).all()
    assert (images.noise(middle, Rng(2), deviation=0.1) != noisy).any()


@pytest.mark.parametrize("quality", [5, 50, 90])
def test_jpeg_loses_what_pillows_jpeg_loses(quality: int) -> None:
    """Of a smooth image, so that both round nearly all cosines alike; theirs computes in integers."""
    down, across = np.mgrid[:40, :52]
    pixels = np.stack([4 * across, 6 * down, 255 - 3 * across - down], axis=-1).astype(np.uint8)
    saved = io.BytesIO()
    PIL.Image.fromarray(pixels).save(saved, "JPEG", quality=quality, subsampling=0)
    theirs = np.asarray(PIL.Image.open(saved)).astype(int)
    ours = images.jpeg(pixels, Rng(0), quality=quality).astype(int)
    assert ours.shape == pixels.shape
    assert (np.abs(ours - theirs) <= 2).mean() > 0.97  # elsewhere, a cosine was rounded the other way
    assert np.abs(ours - theirs).mean() < 0.5


def test_contrast_and_lighting_by_hand() -> None:
    pixels: Pixels = np.array([[[0, 255, 100], [128, 127, 64]]], dtype=np.uint8)
    assert images.contrast(pixels, Rng(0), factor=0.5).tolist() == [[[64, 191, 114], [128, 127, 96]]]
    assert images.contrast(pixels, Rng(0), factor=4.0)[0, 0].tolist() == [0, 255, 18]
    assert images.lighting(pixels, Rng(0), gamma=2.0).tolist() == [[[0, 255, 39], [64, 63, 16]]]
    assert images.lighting(pixels, Rng(0), gain=1.5).tolist() == [[[0, 255, 150], [192, 190, 96]]]
    assert images.lighting(pixels, Rng(0), gamma=2.0, gain=0.5)[0, 0].tolist() == [0, 128, 20]


def test_jpeg_of_flat_colors_by_hand() -> None:
    """Flat blocks have one cosine, 8 times the gray above 128, in steps of 16 at quality 50.

    So grays lie 2 apart; those between go to the one nearer 128.
    """
    grays: Pixels = np.repeat(np.arange(120, 136, dtype=np.uint8), 8 * 8 * 3).reshape(16 * 8, 8, 3)
    found = images.jpeg(grays, Rng(0), quality=50)
    assert found[::8, 0, 0].tolist() == [120, 122, 122, 124, 124, 126, 126, 128, 128, 128, 130, 130, 132, 132, 134, 134]
    assert (found == found[:, :1, :1]).all()


def test_recolor_turns_red_into_green_and_leaves_grays() -> None:
    pixels: Pixels = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [90, 90, 90]]], dtype=np.uint8)
    turned = images.recolor(pixels, Rng(0), degrees=120.0)
    assert turned.tolist() == [[[0, 255, 0], [0, 0, 255], [255, 0, 0], [90, 90, 90]]]
    assert (images.recolor(turned, Rng(0), degrees=-120.0) == pixels).all()


def test_occlude_covers_one_square_and_nothing_else() -> None:
    pixels = some_pixels(40, 50)
    covered = images.occlude(pixels, Rng(3), side=0.25)
    rows, columns = np.nonzero((covered != pixels).any(axis=2))
    assert [int(np.ptp(each)) for each in (rows, columns)] == [9, 9]
    assert (covered[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] == 96).all()
    assert len(rows) == 100


def test_shuffle_moves_every_patch() -> None:
    pixels = some_pixels(24, 32)
    shuffled = images.shuffle(pixels, Rng(0), patch=8)
    before, after = (
        [each[y : y + 8, x : x + 8].tobytes() for y in range(0, 24, 8) for x in range(0, 32, 8)]
        for each in (pixels, shuffled)
    )
    assert sorted(before) == sorted(after)
    assert all(a != b for a, b in zip(before, after, strict=True))
    for size in (7, 24 * 32):
        with pytest.raises(DrawError, match=f"an image of 32 x 24 pixels is not made of patches of {size} pixels"):
            images.shuffle(pixels, Rng(0), patch=size)


# --------------------------------------------------------------------------------------- turning, shifting


def test_rotate_by_a_right_angle_turns_the_pixels_clockwise() -> None:
    scene = object_on_ground(place="corner")
    turned = scenes.rotate(scene, Rng(0), degrees=90)
    assert (render(turned, 96) == np.rot90(render(scene, 96), -1)).all()
    back = scenes.rotate(turned, Rng(0), degrees=-90)
    assert (render(back, 96) == render(scene, 96)).all()


@pytest.mark.parametrize("content", CONTENTS)
def test_translate_by_32nds_shifts_whole_pixels(content: str) -> None:
    for seed in range(5):
        scene = object_on_ground(seed, content=content, side=Rng(seed, "side").uniform(0.3, 0.48))
        moved = scenes.translate(scene, Rng(0), right=8 / 32, down=-5 / 32)
        assert (render(moved, 96) == np.roll(render(scene, 96), (-15, 24), axis=(0, 1))).all()
        assert (render(scenes.translate(scene, Rng(0)), 96) == render(scene, 96)).all()  # nowhere by default


def test_zoom_grows_about_the_middle() -> None:
    scene = object_on_ground(side=0.4)
    left, top, right, bottom = scenes.zoom(scene, Rng(0), factor=1.5).layers[-1].box()
    assert (left, top, right, bottom) == pytest.approx((0.2, 0.2, 0.8, 0.8))
    back = scenes.zoom(scenes.zoom(scene, Rng(0), factor=2.0), Rng(0), factor=0.5)
    assert (render(back, 48) == render(scene, 48)).all()


def test_shear_leans_to_the_right_and_keeps_the_middle() -> None:
    leaning = scenes.shear(object_on_ground(side=0.5), Rng(0), degrees=45.0)
    left, top, right, bottom = leaning.layers[-1].box()  # the top edge moves right by 0.25, the bottom one left
    assert (left, top, right, bottom) == pytest.approx((0.0, 0.25, 1.0, 0.75))
    x, y = leaning.layers[-1].place(np.array([-1.0]), np.array([-1.0]))
    assert (x[0], y[0]) == pytest.approx((0.5, 0.25))


def test_grains_lie_on_the_ground_under_the_object() -> None:
    scene = object_on_ground(side=0.5, ground="gray")
    before, after = render(scene, 96), render(scenes.stain_noise(scene, Rng(1), strength=0.2), 96)
    assert (after[26:70, 26:70] == before[26:70, 26:70]).all()
    ground = after[:20].astype(int)
    assert (np.ptp(ground, axis=2) == 0).all()  # each a little lighter or darker, of no other hue
    assert 20 < np.abs(ground - 128).max() <= 52


@given(seed=st.integers(0, 2**32 - 1), side=st.floats(0.3, 0.48))
@quickly
def test_translate_clear_finds_a_place_of_its_own(seed: int, side: float) -> None:
    scene = object_on_ground(seed, side=side, place="room_to_move")
    moved = scenes.translate_clear(scene, Rng(seed, "move"))
    before, after = (np.array(each.layers[-1].box()) for each in (scene, moved))
    assert np.abs(after - before).max() >= side - 1e-9  # so the two do not overlap
    assert after.min() >= -1e-9
    assert after.max() <= 1 + 1e-9
    assert (after - before)[:2] * 32 == pytest.approx(((after - before)[:2] * 32).round(), abs=1e-9)
    assert [moved.drawn["right"], moved.drawn["down"]] == pytest.approx((after - before)[:2], abs=1e-9)
    assert moved.drawn["distance"] == pytest.approx(np.linalg.norm((after - before)[:2]))


def test_translate_clear_uses_many_places_and_refuses_what_has_no_room() -> None:
    scene = object_on_ground(place="room_to_move")
    assert len({scenes.translate_clear(scene, Rng(seed)).layers[-1].box() for seed in range(30)}) > 15
    with pytest.raises(DrawError, match="cannot be shifted clear of its old place; use place: room_to_move"):
        scenes.translate_clear(object_on_ground(side=0.5), Rng(0))


# ------------------------------------------------------------------------------------------------ stains


def test_strokes_lie_on_the_ground_under_the_object() -> None:
    scene = object_on_ground()
    clean, few, dirty = (render(scenes.stain(scene, Rng(1), strokes=count), 96) for count in (0, 4, 24))
    middle = slice(96 * 32 // 100, 96 * 68 // 100)
    assert (dirty[middle, middle] == clean[middle, middle]).all()
    ground = clean[0, 0]
    stained = (dirty != clean).any(axis=2)
    assert 0 < (few != clean).any(axis=2).mean() < stained.mean()
    assert 0.02 < stained.mean() < 0.25
    inks = {tuple(pixel) for pixel in dirty[stained]}
    farthest = max(float(color.difference(np.array(ink) / 255, ground / 255)) for ink in inks)
    assert farthest >= 34.5  # 35, rounded to 8 bits


# --------------------------------------------------------------------------------------- another object


def test_replace_object_ends_where_nothing_differs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "_differ", lambda *_scenes: False)
    with pytest.raises(DrawError, match="no acceptable drawing in 200 tries: flat that differs from bars"):
        scenes.replace_object(object_on_ground(), Rng(0), content="flat")


def test_what_a_scene_does_not_have_is_said() -> None:
    with pytest.raises(DrawError, match="the scene has no grain"):
        scenes.regrain(object_on_ground(), Rng(0))
    with pytest.raises(DrawError, match="an order in which no object keeps its place"):
        scenes.rearrange(object_on_ground(), Rng(0))


def test_every_change_of_images_is_stronger_the_stronger_its_name() -> None:
    """By mean squared error: slight, everyday, and damage, of each kind that they have in common."""
    pixels = render(view(Rng(3), 96, content="bird"), 96)
    for change in images.DAMAGES:
        kinds = (images.SLIGHT, images.EVERYDAY, images.DAMAGES)
        errors = [float(((kind[change](pixels, Rng(0)) - pixels.astype(float)) ** 2).mean()) for kind in kinds]
        assert errors == sorted(errors), change
        assert errors[0] > 0


# ------------------------------------------------------------------------------------------------ tables


PARAMETERS: dict[str, dict[str, Any]] = {
    "blur": {"sigma": 1.5}, "noise": {"deviation": 0.1}, "jpeg": {"quality": 20}, "contrast": {"factor": 0.5},
    "lighting": {"gamma": 2.0}, "recolor": {"degrees": 70.0}, "occlude": {"side": 0.3}, "shuffle": {"patch": 8},
    "rotate": {"degrees": 30.0}, "translate": {"right": 0.1}, "stain": {"strokes": 9}, "zoom": {"factor": 1.2},
    "shear": {"degrees": 10.0}, "stain_noise": {"strength": 0.2},
    "everyday": {"change": "jpeg"}, "slight": {"change": "jpeg"}, "damage": {"change": "jpeg"},
}  # fmt: skip
SCENES_OF: dict[str, Callable[[], Scene]] = {
    "rearrange": lambda: arrangement(Rng(1), 96, content="bars", per_side=2),
    **dict.fromkeys(("regrain", "remove_grain"), lambda: view(Rng(1), 96, content="face", grain=0.1)),
}
"""Of distortions that need another scene than an object on a plain ground."""


@pytest.mark.parametrize("name", DISTORTIONS)
def test_a_distortion_depends_on_its_seed_alone_and_changes_no_argument(name: str) -> None:
    scene = SCENES_OF.get(name, lambda: object_on_ground(place="room_to_move"))()
    before, drawn = render(scene, 48), dict(scene.drawn)
    original = before if name in PIXEL_DISTORTIONS else scene  # the pixels are read-only
    first, again = (DISTORTIONS[name](original, Rng(5), **PARAMETERS.get(name, {})) for _ in range(2))
    if isinstance(first, Scene):
        first, again = render(first, 48), render(again, 48)
    assert (first == again).all()
    assert (first != before).any()
    assert (first.dtype, first.shape) == (np.uint8, (48, 48, 3))
    assert (render(scene, 48) == before).all()
    assert scene.drawn == drawn
