"""Images: what is read from which files, what is refused, and how images are told apart."""

import hashlib
import io
import struct
import unicodedata
import zlib
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL.Image
import pytest
import torch
from PIL import ImageCms

from dps import images, notes
from dps.errors import ImageError
from dps.images import FORMATS, Pixels, Triple, make_image
from tests.refusals import refusal

NOISE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def image(pixels: Pixels = NOISE) -> PIL.Image.Image:
    return PIL.Image.fromarray(pixels)


@pytest.fixture(autouse=True)
def no_notes() -> None:
    notes.clear()


def why(path: Path) -> str:
    return refusal(lambda: images.read(path), ImageError)


def saved(path: Path, source: PIL.Image.Image | None = None, **options: Any) -> Path:
    (source or image()).save(path, **options)
    return path


# ------------------------------------------------------------------------------------------- what is read


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff", "a.webp"])
def test_formats_without_loss_give_the_pixels_back(tmp_path: Path, name: str) -> None:
    pixels = images.read(saved(tmp_path / name, lossless=True))  # WebP asks; the others always are
    assert np.array_equal(pixels, NOISE)
    assert not notes.lines()
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0, 0] = 1


def test_jpeg_gives_the_pixels_roughly_back(tmp_path: Path) -> None:
    flat = np.full((16, 16, 3), (200, 100, 50), np.uint8)
    read = images.read(saved(tmp_path / "a.jpg", image(flat), quality=95)).astype(int)
    assert read.shape == flat.shape
    assert np.abs(read - flat).max() <= 2


def test_the_format_is_told_by_content_and_not_by_name(tmp_path: Path) -> None:
    path = saved(tmp_path / "jpeg.png", format="JPEG")
    assert np.array_equal(images.read(path), np.asarray(PIL.Image.open(io.BytesIO(path.read_bytes()))))


@pytest.mark.parametrize(
    ("mode", "format_"),
    [
        *[("1", format_) for format_ in FORMATS], *[("L", format_) for format_ in FORMATS],
        ("P", "PNG"), ("P", "BMP"), ("P", "TIFF"), ("LA", "PNG"), ("LA", "TIFF"), ("PA", "TIFF"),
        ("RGBA", "PNG"), ("RGBA", "TIFF"), ("RGBA", "WEBP"), ("RGBA", "BMP"), ("RGBX", "TIFF"),
        ("CMYK", "JPEG"), ("CMYK", "TIFF"), ("YCbCr", "JPEG"), ("YCbCr", "TIFF"), ("LAB", "TIFF"),
    ],
)  # fmt: skip
def test_every_mode_of_8_bits_is_read_as_pillow_converts_it(tmp_path: Path, mode: str, format_: str) -> None:
    modes = {"LA": "L", "PA": "P", "LAB": "RGB"}
    written = image().convert(modes.get(mode, mode))
    written = PIL.Image.merge("LAB", image().split()) if mode == "LAB" else written.convert(mode)
    path = saved(tmp_path / "a.file", written, format=format_)
    with PIL.Image.open(path) as opened:
        expected = np.asarray(opened.convert("RGB"))
    assert np.array_equal(images.read(path), expected)
    assert not notes.lines()  # all alpha is opaque


@pytest.mark.parametrize("transparency", [None, 1, b"\x00\x80\xff"])
def test_a_palette_becomes_its_colors(tmp_path: Path, transparency: int | bytes | None) -> None:
    indexed = image(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    indexed.putpalette([255, 0, 0, 0, 128, 0, 7, 8, 9])
    path = saved(tmp_path / "a.png", indexed, transparency=transparency)
    assert images.read(path).tolist() == [[[255, 0, 0], [0, 128, 0]], [[7, 8, 9], [0, 128, 0]]]
    assert len(notes.lines()) == (transparency is not None)


def test_nothing_is_resized_down_to_a_single_pixel(tmp_path: Path) -> None:
    assert images.read(saved(tmp_path / "a.png", image(NOISE[:1, :1]))).shape == (1, 1, 3)


@pytest.mark.parametrize(("stored", "typed"), [("NFC", "NFD"), ("NFD", "NFC")])
def test_a_name_in_another_unicode_form_is_found(
    tmp_path: Path, stored: Literal["NFC", "NFD"], typed: Literal["NFC", "NFD"]
) -> None:
    folder, name = "Fotos f\u00fcr B\u00e4r", "caf\u00e9.png"
    (tmp_path / unicodedata.normalize(stored, folder)).mkdir()
    saved(tmp_path / unicodedata.normalize(stored, folder) / unicodedata.normalize(stored, name))
    path = tmp_path / unicodedata.normalize(typed, folder) / unicodedata.normalize(typed, name)
    assert np.array_equal(images.read(path), NOISE)


# ------------------------------------------------------------------------------------- what is dropped and noted


@pytest.mark.parametrize(("name", "mode"), [("a.png", "RGBA"), ("a.tiff", "RGBA"), ("a.webp", "RGBA"), ("a.png", "LA")])
def test_alpha_is_dropped_not_composited_and_noted(tmp_path: Path, name: str, mode: str) -> None:
    translucent = image().convert(mode)
    translucent.putalpha(0)
    path = saved(tmp_path / name, translucent, **({"lossless": True, "exact": True} if "webp" in name else {}))
    assert np.array_equal(images.read(path), np.asarray(image().convert(mode[:-1]).convert("RGB")))
    assert notes.lines() == [
        f"alpha channel dropped in 1 file ({path}): transparent pixels count with the color stored under them."
    ]


def with_extra_sample(mode: str, meaning: int) -> bytes:
    """A TIFF file of 100s, the last channel 128 and of this meaning: 0 undeclared, 1 premultiplied, 2 alpha."""
    file = io.BytesIO()
    PIL.Image.new(mode, (4, 4), (*[100] * (len(mode) - 1), 128)).save(file, "TIFF")
    data, start = bytearray(file.getvalue()), struct.unpack_from("<I", file.getvalue(), 4)[0]
    for entry in range(start + 2, start + 2 + 12 * struct.unpack_from("<H", data, start)[0], 12):
        if struct.unpack_from("<H", data, entry)[0] == 338:  # ExtraSamples
            struct.pack_into("<H", data, entry + 8, meaning)
    return bytes(data)


@pytest.mark.parametrize(
    ("mode", "meaning", "value"), [("LA", 1, 199), ("LA", 2, 100), ("RGBA", 0, 100), ("RGBA", 1, 199), ("RGBA", 2, 100)]
)
def test_both_kinds_of_alpha_of_tiff_are_noted(tmp_path: Path, mode: str, meaning: int, value: int) -> None:
    (tmp_path / "a.tif").write_bytes(with_extra_sample(mode, meaning))
    assert (images.read(tmp_path / "a.tif") == value).all()  # premultiplied: 100 * 255 / 128 = 199
    assert [line.partition(" dropped in")[0] for line in notes.lines()] == ["alpha channel"] * (meaning > 0)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tiff"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_exif_orientation_is_not_applied_but_noted(tmp_path: Path, name: str, orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[0x0112] = orientation
    lossless: dict[str, Any] = {"lossless": True} if "webp" in name else {}
    expected = images.read(saved(tmp_path / f"upright-{name}", **lossless))
    path = saved(tmp_path / name, exif=exif, **lossless)
    with PIL.Image.open(path) as written:
        assert written.getexif()[0x0112] == orientation
    assert np.array_equal(images.read(path), expected)
    assert notes.lines() == [
        f"EXIF orientation not applied in 1 file ({path}): pixels are compared as stored, which may lie on their side."
    ]


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tiff"])
def test_further_frames_are_noted(tmp_path: Path, name: str) -> None:
    path = saved(tmp_path / name, save_all=True, append_images=[image(255 - NOISE)], lossless=True)
    assert np.array_equal(images.read(path), NOISE)
    assert notes.lines() == [f"further frames ignored in 1 file ({path}): only the first is compared."]


def test_a_color_profile_is_noted_unless_it_is_srgb(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    images.read(saved(tmp_path / "a.png", icc_profile=srgb))
    assert not notes.lines()
    path = saved(tmp_path / "a.jpg", icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("XYZ")).tobytes())
    images.read(path)
    assert notes.lines() == [f"color profile ignored in 1 file ({path}): numbers are compared as if they were sRGB."]


def test_a_note_counts_each_file_once_and_names_three() -> None:
    for name in "abca":
        notes.add("dropped in", Path(name), "so what.")
    assert notes.lines() == ["dropped in 3 files (a, b, c): so what."]
    notes.add("dropped in", Path("d"), "so what.")
    assert notes.lines() == ["dropped in 4 files (a, b, c, ...): so what."]


# ------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_file_cut_short(tmp_path: Path, format_: str, share: float) -> None:
    path = saved(tmp_path / "cut.image", format=format_)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    message = why(path).removeprefix(f"{path}: ")
    assert message.startswith(("the image cannot be decoded (", "not an image that can "))
    assert message.endswith("); is it cut short?") or format_ in ("WEBP", "TIFF", "BMP")


def of_16_bits(pixels: Pixels) -> bytes:
    """A PNG file of 16 bits a channel, which Pillow cannot write in color (PNG specification, section 11)."""
    height, width, count = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in (pixels.astype(np.uint16) * 257).astype(">u2"))
    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[count], 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


GRAY = NOISE[..., [0, 0, 0]]


@pytest.mark.parametrize(
    ("name", "source", "expected", "bits", "white"),
    [
        ("gray.png", of_16_bits(NOISE[..., :1]), GRAY, "16 bits per channel (mode I;16)", 65535),
        ("gray and alpha.png", of_16_bits(NOISE[..., :2]), GRAY, "16 bits per channel (mode RGBA)", 65535),
        ("it's.png", of_16_bits(NOISE), NOISE, "16 bits per channel (mode RGB)", 65535),
        ("rgba.png", of_16_bits(NOISE[..., [0, 1, 2, 2]]), NOISE, "16 bits per channel (mode RGBA)", 65535),
        ("16.tiff", NOISE[..., 0].astype(np.uint16) * 257, GRAY, "16 bits per channel (mode I;16)", 65535),
        ("32.tiff", NOISE[..., 0].astype(np.int32) * 257, GRAY, "32 bits per channel (mode I)", 65535),
        ("float.tiff", (NOISE[..., 0] / 255).astype(np.float32), GRAY, "32 bits per channel (mode F)", 1),
    ],
)
def test_more_than_8_bits_are_refused_with_what_converts_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, source: Any, expected: Pixels, bits: str, white: int
) -> None:
    monkeypatch.chdir(tmp_path)
    if isinstance(source, bytes):
        Path(name).write_bytes(source)
    else:
        saved(Path(name), PIL.Image.fromarray(source))
    message = why(Path(name))
    assert message.startswith(f"{name}: {bits}, but at most 8 can be read. Convert it, with {white} as white, by these")
    exec(message.partition("by these Python statements: ")[2])
    assert np.array_equal(images.read(Path(f"{Path(name).stem}-8bit.png")), expected)


@pytest.mark.parametrize("data", [b"", b"plain text\n", b"GIF89a", b"II*\0\x08\0\0\0\0\0"])
def test_a_file_that_is_no_image(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(data)
    assert why(path).startswith(f"{path}: not an image that can be read; PNG, JPEG, BMP, TIFF, WEBP can, except")


def test_a_missing_file_and_a_folder(tmp_path: Path) -> None:
    assert why(tmp_path / "no.png") == f"{tmp_path}/no.png: no such image file."
    assert why(tmp_path) == f"{tmp_path}: a folder, not an image file."


@pytest.mark.parametrize("most", [NOISE[..., 0].size - 1, NOISE[..., 0].size // 2 - 1])
def test_a_decompression_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    path = tmp_path / "bomb.png"
    image().save(path)
    monkeypatch.setattr(PIL.Image, "MAX_IMAGE_PIXELS", most)  # Pillow warns above it, and raises above twice
    assert why(path) == f"{path}: more than {most:,} pixels, which looks like a decompression bomb."


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
