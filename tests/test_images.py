"""Images: what is read from which files, what is refused, and how images are told apart."""

import hashlib
import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch

from dps import images
from dps.errors import ImageError
from dps.images import FORMATS, Pixels, Triple, make_image

NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def image(pixels: Pixels = NOISE) -> PIL.Image.Image:
    return PIL.Image.fromarray(pixels)


def refusal(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        images.read(path)
    message = str(caught.value)
    assert "\n" not in message
    return message


# ------------------------------------------------------------------------------------------- what is read


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff", "a.webp"])
def test_formats_without_loss_give_the_pixels_back(tmp_path: Path, name: str) -> None:
    image().save(tmp_path / name, lossless=True)  # WebP asks; the others always are
    assert np.array_equal(images.read(tmp_path / name), NOISE)


def test_jpeg_gives_the_pixels_roughly_back(tmp_path: Path) -> None:
    flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    image(flat).save(tmp_path / "a.jpg", quality=95)
    read = images.read(tmp_path / "a.jpg").astype(int)
    assert read.shape == flat.shape
    assert np.abs(read - flat).max() <= 2


def test_the_format_is_told_by_content_and_not_by_name(tmp_path: Path) -> None:
    path = tmp_path / "jpeg.png"
    image().save(path, format="JPEG")
    expected = np.asarray(PIL.Image.open(io.BytesIO(path.read_bytes())))
    assert np.array_equal(images.read(path), expected)


def test_alpha_is_dropped_and_not_composited(tmp_path: Path) -> None:
    transparent = np.dstack([NOISE, np.zeros(NOISE.shape[:2], np.uint8)])
    image(transparent).save(tmp_path / "a.png")
    assert np.array_equal(images.read(tmp_path / "a.png"), NOISE)


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_camera_held_sideways_does_not_turn_the_image(tmp_path: Path, suffix: str) -> None:
    upright, sideways = tmp_path / f"upright{suffix}", tmp_path / f"sideways{suffix}"
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees to show
    image().save(upright)
    image().save(sideways, exif=exif)
    with PIL.Image.open(sideways) as written:
        assert written.getexif()[0x0112] == 6
    assert np.array_equal(images.read(sideways), images.read(upright))


def test_gray_becomes_three_equal_channels(tmp_path: Path) -> None:
    image(NOISE[..., 0]).save(tmp_path / "a.png")
    assert np.array_equal(images.read(tmp_path / "a.png"), NOISE[..., [0, 0, 0]])


@pytest.mark.parametrize("transparency", [None, 1, b"\x00\x80\xff"])
def test_a_palette_becomes_its_colors(tmp_path: Path, transparency: int | bytes | None) -> None:
    indexed = image(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    indexed.putpalette([255, 0, 0, 0, 128, 0, 7, 8, 9])
    indexed.save(tmp_path / "a.png", transparency=transparency)
    expected = [[[255, 0, 0], [0, 128, 0]], [[7, 8, 9], [0, 128, 0]]]
    assert images.read(tmp_path / "a.png").tolist() == expected


def test_nothing_is_resized_down_to_a_single_pixel(tmp_path: Path) -> None:
    image(NOISE[:1, :1]).save(tmp_path / "a.png")
    assert images.read(tmp_path / "a.png").shape == (1, 1, 3)


def test_a_file_is_read_once_and_nobody_can_write_into_it(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    image().save(path)
    pixels = images.read(path)
    path.unlink()
    assert images.read(path) is pixels
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0, 0] = 1


# ------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_cut_short(tmp_path: Path, format_: str, share: float) -> None:
    path = tmp_path / "cut.image"
    image().save(path, format=format_)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    assert refusal(path).startswith((f"{path}: the image cannot be decoded (", f"{path}: not an image that can "))


def test_a_png_that_lost_its_second_half_may_be_cut_short(tmp_path: Path) -> None:
    path = tmp_path / "cut.png"
    image().save(path)
    path.write_bytes(path.read_bytes()[:3000])
    message = refusal(path)
    assert message.startswith(f"{path}: the image cannot be decoded (OSError: ")
    assert message.endswith("); is it cut short?")


def test_a_missing_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "no.png") == f"{tmp_path}/no.png: no such image file."


@pytest.mark.parametrize("data", [b"", b"plain text\n", b"%PDF-1.7\n"])
def test_a_file_that_is_no_image(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data)
    assert refusal(path) == f"{path}: not an image that can be read; PNG, JPEG, BMP, TIFF, WEBP can."


def test_a_format_that_is_not_on_the_list(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    image().save(path, format="GIF")
    assert refusal(path) == f"{path}: not an image that can be read; PNG, JPEG, BMP, TIFF, WEBP can."


def test_a_folder_is_no_image(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: a folder, not an image file."


@pytest.mark.parametrize("most", [NOISE[..., 0].size - 1, NOISE[..., 0].size // 2 - 1])
def test_a_decompression_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    path = tmp_path / "bomb.png"
    image().save(path)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", most)  # Pillow warns above it, and raises above twice
    assert refusal(path) == f"{path}: more than {most:,} pixels, which looks like a decompression bomb."


# ------------------------------------------------------------------------------------------- tensors and digests


def test_as_batch_puts_channels_first_and_255_at_1() -> None:
    white_red = np.array([[[255, 255, 255], [255, 0, 0]]], np.uint8)  # one row, two columns
    gray = np.full((1, 2, 3), 51, np.uint8)
    batch = images.as_batch([white_red, gray])
    assert batch.dtype == torch.float32
    assert batch.shape == (2, 3, 1, 2)
    assert batch[0].tolist() == [[[1.0, 1.0]], [[1.0, 0.0]], [[1.0, 0.0]]]
    assert torch.equal(batch[1], torch.full((3, 1, 2), 0.2))


def test_a_digest_is_over_shape_and_bytes_in_order() -> None:
    first, second = NOISE[:2, :3], NOISE[4:5]
    expected = hashlib.sha256(b"(2, 3, 3)" + first.tobytes() + b"(1, 64, 3)" + second.tobytes()).hexdigest()
    assert images.digest([first, second]) == expected
    assert images.digest([second, first]) != expected


def test_a_digest_tells_shapes_apart_that_have_the_same_bytes() -> None:
    assert images.digest([NOISE]) != images.digest([NOISE.reshape(64, 48, 3)])


def test_pictures_are_equal_when_their_pixels_are() -> None:
    changed = NOISE.copy()
    changed[47, 63, 2] ^= 1
    assert make_image(NOISE) == make_image(NOISE.copy())
    assert make_image(NOISE) != make_image(changed)
    assert "pixels" not in repr(make_image(NOISE))


def test_a_triple_is_digested_original_first_then_distorted_then_references() -> None:
    a, b, c, d = (make_image(NOISE[i : i + 8]) for i in range(4))
    triple = Triple(original=a, distorted=b, references={"z": c, "y": d})
    assert triple.compared == [b, c, d]
    assert triple.digest == images.digest([a.pixels, b.pixels, c.pixels, d.pixels])


def test_files_are_digested_in_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    one, two = tmp_path / "x" / "1.yaml", tmp_path / "2.yaml"
    one.write_bytes(b"one")
    two.write_bytes(b"two")
    assert images.digest_of_files([two, one, two]) == hashlib.sha256(b"onetwo").hexdigest()
