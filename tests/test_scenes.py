"""Scenes: choices by seed, colors, the plane and its pixels, noise, patterns and contents."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dps.errors import DrawError
from dps.scenes import color
from dps.scenes.color import Array
from dps.scenes.contents import CONTENTS, FILLERS, ICONS
from dps.scenes.noise import LATTICE, smooth_noise
from dps.scenes.patterns import PATTERNS
from dps.scenes.plane import (
    Affine,
    Layer,
    Paint,
    Scene,
    about_middle,
    filling,
    grid,
    render,
    scale,
    shift,
    square_at,
    turn,
)
from dps.scenes.rng import Rng

ALL = {**CONTENTS, **FILLERS}
SEEDS = range(5)


def mapped(map_: Affine, x: float, y: float) -> tuple[float, float]:
    """Where a map takes a single point."""
    to_x, to_y = map_(np.array([x]), np.array([y]))
    return to_x.item(), to_y.item()


def one_color(rgb: tuple[float, float, float]) -> Paint:
    return filling(lambda u, _v: np.tile(np.array(rgb, dtype=float), (len(u), 1)))


def scene_of(
    paint: Paint, *, left: float, top: float, side: float, ground: tuple[float, float, float] = (1.0, 1.0, 1.0)
) -> Scene:
    return Scene(ground=ground, layers=(Layer(name="object", paint=paint, place=square_at(left, top, side)),))


# ------------------------------------------------------------------------------------------------ rng


def test_random_numbers_are_the_same_on_every_machine() -> None:
    rng = Rng(7, "a")  # recorded with NumPy 2.4.6 on x86-64
    assert rng.uniform(0, 1) == 0.6172647474519394
    assert rng.uniforms(-1, 1, 2).round(8).tolist() == [-0.17544671, -0.41386796]
    assert rng.integer(1, 6) == 1
    assert rng.integers(0, 9, 5).tolist() == [2, 2, 4, 4, 1]
    assert rng.choice("abcde") == "c"
    assert rng.shuffled("abcde") == list("ecbad")
    assert rng.bernoulli(0.5) is False


def test_a_name_counts_as_its_checksum_and_all_entropy_counts() -> None:
    assert Rng("a").uniform(0, 1) == Rng(0xE8B7BE43).uniform(0, 1)  # CRC-32 of "a"
    assert len({Rng(3, name).uniform(0, 1) for name in ("a", "b", 1, 2)} | {Rng(3).uniform(0, 1)}) == 5


def test_rejection_sampling_takes_the_first_accepted_sample_and_ends() -> None:
    again = Rng(5)
    first = next(n for n in iter(lambda: again.integer(1, 6), None) if n > 4)
    assert Rng(5).rejection_sample(lambda rng: rng.integer(1, 6), lambda n: n > 4, "a high number") == first
    with pytest.raises(DrawError, match="no acceptable drawing in 200 tries: a seven"):
        Rng(5).rejection_sample(lambda rng: rng.integer(1, 6), lambda n: n == 7, "a seven")


# ---------------------------------------------------------------------------------------------- colors


@pytest.mark.parametrize(
    ("rgb", "expected"),
    [  # CIE L*a*b* of the sRGB primaries under D65, as published by many, such as brucelindbloom.com
        ((1, 1, 1), (100, 0, 0)),
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
        # IEC 61966-2-1: a light of ((0.08 + 0.055) / 1.055) ** 2.4 = 0.00719; CIE: below 0.00886, L* is 903.3 times it
        ((0.08, 0.08, 0.08), (6.499, 0, 0)),
    ],
)
def test_lab_of_known_colors(rgb: tuple[float, float, float], expected: tuple[float, float, float]) -> None:
    assert color.lab(rgb) == pytest.approx(expected, abs=0.03)
    assert color.difference(np.tile(rgb, (4, 1)), (0, 0, 0)) == pytest.approx(np.linalg.norm(expected), abs=0.1)


def test_hsv_and_mix_by_hand() -> None:
    colors = color.hsv([0, 1 / 3, 2 / 3, 1, 1 / 6], 1, 1).round(12).tolist()
    assert colors == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 0, 0], [1, 1, 0]]
    assert color.hsv(0.3, 0, 0.4).tolist() == [0.4, 0.4, 0.4]
    assert color.hsv(0, 0.5, 0.8).round(12).tolist() == [0.8, 0.4, 0.4]
    assert color.mix([0, 0, 0], [1, 0.5, 0], [0, 0.25, 1]).tolist() == [[0, 0, 0], [0.25, 0.125, 0], [1, 0.5, 0]]


def test_distinct_hues_are_far_apart() -> None:
    for seed in SEEDS:
        colors = color.distinct_hues(Rng(seed), 4)
        apart = [float(color.difference(a, b)) for i, a in enumerate(colors) for b in colors[:i]]
        assert min(apart) > 25


# ----------------------------------------------------------------------------------------------- plane


def test_turn_is_clockwise_with_y_down_and_exact_by_quarters() -> None:
    assert mapped(turn(90), 1, 0) == (0, 1)  # right becomes down
    assert mapped(turn(45), 1, 0) == pytest.approx((np.sqrt(0.5), np.sqrt(0.5)))
    assert mapped(about_middle(turn(45)), 0.5, 0.5) == (0.5, 0.5)
    turned = turn(0)
    assert turned == Affine(((1.0, 0.0), (0.0, 1.0)))
    for degrees in (90, 180, 270, 360):
        turned = turn(90).after(turned)
        assert turn(degrees) == turn(degrees - 360) == turned


def test_inverse_goes_back_and_after_applies_the_first_map_first() -> None:
    there = shift(0.3, -0.2).after(turn(33)).after(scale(0.7))
    both = there.inverse().after(there)
    assert both.matrix == pytest.approx(np.eye(2), abs=1e-15)
    assert both.offset == pytest.approx((0, 0), abs=1e-15)
    assert mapped(shift(1, 0).after(scale(2)), 1, 1) == (3, 2)
    assert mapped(scale(2).after(shift(1, 0)), 1, 1) == (4, 2)


def test_render_averages_four_by_four_grid() -> None:
    # 2 x 2 pixels have points at 1/16, 3/16, ... A square to 3/8 takes 3 x 3 of the first pixel's 16.
    scene = scene_of(one_color((1, 0.5, 0)), left=0, top=0, side=3 / 8, ground=(0, 0, 0))
    pixels = render(scene, 2)
    assert pixels[0, 0].tolist() == [143, 72, 0]  # 9/16 of 255 is 143.4, and half of it 71.7
    assert not pixels[0, 1].any()
    assert not pixels[1].any()


def test_render_has_x_to_the_right_and_y_down() -> None:
    scene = scene_of(lambda u, v: (np.stack([u, v, 0 * u], axis=1), u > 0), left=0, top=0, side=1)
    assert render(scene, 2).tolist() == [
        # x in the right half averages to 0.5, and so does y in the lower half; y < 0 is clipped to 0
        [[255, 255, 255], [128, 0, 0]],
        [[255, 255, 255], [128, 128, 0]],
    ]


def test_later_layers_cover_earlier_ones() -> None:
    below = scene_of(one_color((1, 0, 0)), left=0, top=0, side=1)
    above = scene_of(one_color((0, 0, 1)), left=0.5, top=0, side=0.5)
    both = Scene(ground=(0, 0, 0), layers=below.layers + above.layers)
    assert render(both, 2).tolist() == [[[255, 0, 0], [0, 0, 255]], [[255, 0, 0], [255, 0, 0]]]


def test_layers_outside_the_frame_are_not_seen() -> None:
    scene = scene_of(one_color((1, 0, 0)), left=1.25, top=0.2, side=0.5, ground=(0, 0.5, 1))
    assert render(scene, 3).tolist() == render(Scene(ground=(0, 0.5, 1), layers=()), 3).tolist()
    assert render(scene, 3).tolist() == [[[0, 128, 255]] * 3] * 3


# ----------------------------------------------------------------------------------------------- noise


@pytest.mark.parametrize(("falloff", "stretch", "coarsest"), [(0, 1, 1), (1, 0.4, 1), (2.2, 3, 1), (4, 1, 3)])
def test_noise_has_mean_0_and_deviation_1_on_its_lattice(falloff: float, stretch: float, coarsest: float) -> None:
    noise = smooth_noise(Rng(1), falloff, stretch=stretch, coarsest=coarsest)
    line = np.arange(LATTICE) / LATTICE * 2 - 1
    u, v = np.meshgrid(line, line)
    heights = noise(u.ravel(), v.ravel())
    assert heights.mean() == pytest.approx(0, abs=1e-12)
    assert heights.std() == pytest.approx(1, abs=1e-12)


def test_noise_repeats_every_frame() -> None:
    noise = smooth_noise(Rng(1), 1.5)
    u, v = Rng(2).uniforms(-1, 1, 2, 500)
    for right, down in ((2, 0), (0, 2), (-2, -4)):
        assert noise(u + right, v + down) == pytest.approx(noise(u, v), abs=1e-9)
    inner, edge = np.array([1 - 1e-9]), np.array([-1.0])
    assert noise(inner, edge) == pytest.approx(noise(edge, edge), abs=1e-6)  # no seam


# -------------------------------------------------------------------------------------------- patterns


@pytest.mark.parametrize("family", PATTERNS)
def test_pattern_is_a_quarter_to_three_quarters_black(family: str) -> None:
    u, v = grid(48)
    shares = [PATTERNS[family](Rng(seed, "pattern"))(u, v).mean() for seed in range(40)]
    balanced = [0.25 <= share <= 0.75 for share in shares]
    assert np.mean(balanced) >= 0.9  # the rest are rejected


@pytest.mark.parametrize("seed", range(12))
def test_lone_shape_covers_26_to_35_percent_and_is_whole(seed: int) -> None:
    u, v = grid(256)
    black = PATTERNS["shape"](Rng(seed))(u, v)
    assert 0.255 < black.mean() < 0.355
    assert not black[np.maximum(np.abs(u), np.abs(v)) > 0.99].any()


@pytest.mark.parametrize("seed", SEEDS)
def test_yin_yang_has_an_outline_and_a_plain_ground(seed: int) -> None:
    u, v = grid(256)
    black = PATTERNS["yin_yang"](Rng(seed))(u, v)
    radius, angle = np.hypot(u, v), np.arctan2(v, u)
    outermost = radius[black].max()
    assert 0.84 < outermost < 0.98
    ring = (radius > outermost - 0.03) & (radius < outermost - 0.01)
    assert black[ring].all()  # all the way round, next to the white half too
    assert np.ptp(angle[ring]) > 6.2
    assert not black[radius > outermost].any()
    assert 0.35 < black[radius < 0.8].mean() < 0.65


# -------------------------------------------------------------------------------------------- contents


@pytest.mark.parametrize("name", ALL)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=5, deadline=None, derandomize=True, database=None)
def test_content_paints_valid_colors(name: str, seed: int) -> None:
    u, v = grid(40)
    rgb, opaque = ALL[name](Rng(seed))(u, v)
    assert rgb.shape == (1600, 3)
    assert rgb.dtype == np.float64
    assert opaque.shape == (1600,)
    assert opaque.dtype == bool
    assert rgb.min() >= 0
    assert rgb.max() <= 1
    assert opaque.mean() > 0.2
    assert [part.shape for part in ALL[name](Rng(seed))(np.empty(0), np.empty(0))] == [(0, 3), (0,)]


FAMILIES: dict[str, Callable[[Rng], Callable[[Array, Array], Any]]] = {
    **{f"pattern {name}": pattern for name, pattern in PATTERNS.items()},
    **ALL,
}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_drawn_depends_on_its_seed_and_place_only(name: str, seed: int) -> None:
    u, v = grid(48)

    def evaluated(seed: int, step: int = 1) -> Array:
        parts = FAMILIES[name](Rng(seed))(u[::step], v[::step])
        return np.column_stack(parts if isinstance(parts, tuple) else [parts])

    assert (evaluated(seed) == evaluated(seed)).all()
    assert (evaluated(seed, 7) == evaluated(seed)[::7]).all()  # nothing is random when it is evaluated
    assert (evaluated(seed + 100) != evaluated(seed)).any()


@pytest.mark.parametrize("icon", ICONS)
def test_icon_is_as_large_as_the_unit_circle(icon: str) -> None:
    line = (np.arange(400) + 0.5) / 160 - 1.25
    u, v = np.meshgrid(line, line)
    depth = ICONS[icon](u.ravel(), v.ravel()).reshape(u.shape)
    assert 0.13 < depth.max() < 1  # room for an outline and color inside it
    assert 0.84 < np.hypot(u, v)[depth > 0].max() < 1.2
    steps = np.hypot(*np.gradient(depth, line[1] - line[0]))
    assert np.quantile(steps[depth > 0], [0.1, 0.9]) == pytest.approx([1, 1], abs=0.03)  # depth is a distance
