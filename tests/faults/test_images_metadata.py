"""Metadata cannot hurt pixels: odd EXIF, large profiles and text, damaged tags change nothing and lose no image."""

import struct

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from helpers.damaged_images import damaged, photo, samples, with_metadata
from regionflow.images.metadata import exif_orientation
from regionflow.images.read import UnreadableImage, read_image

RGB = photo(24, 32)


def every_turn(pixels):
    """An image in all eight orientations: damaged metadata may hold another orientation."""
    return [np.rot90(side, k) for k in range(4) for side in (pixels, pixels[:, ::-1])]


def same(pixels, others):
    return any(pixels.shape == other.shape and (pixels == other).all() for other in others)


def exif_with(*entries, data=b""):
    """An EXIF block of raw entries (tag, type, count, four bytes)."""
    packed = b"".join(struct.pack(">HHI", tag, kind, count) + value for tag, kind, count, value in entries)
    return b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">H", len(entries)) + packed + b"\0\0\0\0" + data


ODD = (0x010F, 5, 1, struct.pack(">I", 38))  # Make as a RATIONAL


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_one_odd_exif_tag_beside_the_orientation(tmp_path, kind):
    exif = exif_with(ODD, (0x0112, 3, 1, b"\0\6\0\0"), data=struct.pack(">II", 72, 1))
    path = tmp_path / "x"
    Image.fromarray(RGB).save(path, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {}))
    upright = read_image(path)
    assert upright.shape == (32, 24, 3)
    assert np.abs(upright.astype(int) - np.rot90(RGB, 3)).mean() < 6


@pytest.mark.parametrize(
    ("entry", "orientation"),
    [
        ((0x0112, 3, 1, b"\0\x08\0\0"), 8),
        ((0x0112, 4, 1, b"\0\0\0\x03"), 3),
        ((0x0112, 1, 1, b"\x05\0\0\0"), 5),
        ((0x0112, 3, 1, b"\0\x09\0\0"), 1),
        ((0x0112, 3, 1, b"\0\0\0\0"), 1),
        ((0x0112, 3, 2, b"\0\x06\0\x06"), 1),
        ((0x0112, 5, 1, b"\0\0\0\x26"), 1),
        ((0x0112, 2, 1, b"6\0\0\0"), 1),
    ],
)
def test_an_orientation_is_a_number_from_1_to_8_or_it_is_none(entry, orientation):
    assert exif_orientation(exif_with(ODD, entry)) == orientation


@pytest.mark.parametrize("cut", range(0, 60, 3))
def test_a_cut_exif_block_is_no_orientation(cut):
    whole = exif_with(ODD, ODD, ODD, (0x0112, 3, 1, b"\0\6\0\0"))
    assert exif_orientation(whole[:cut]) in (1, 6)
    assert exif_orientation(whole) == 6


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_profile_of_megabytes_loses_no_image(tmp_path, kind):
    profile = np.random.default_rng(0).integers(0, 4, 3_000_000, dtype=np.uint8).tobytes()
    options = {"lossless": True} if kind == "WEBP" else {"quality": 97, "subsampling": 0} if kind == "JPEG" else {}
    Image.fromarray(RGB).save(tmp_path / "x", kind, icc_profile=profile, **options)
    pixels = read_image(tmp_path / "x")
    assert np.abs(pixels.astype(int) - RGB).max() <= (12 if kind == "JPEG" else 0)


def test_text_of_megabytes_loses_no_image(tmp_path):
    text = PngInfo()
    text.add_text("a", "x" * 90_000_000, zip=True)
    text.add_itxt("b", "y" * 2_000_000, zip=True)
    Image.fromarray(RGB).save(tmp_path / "x.png", pnginfo=text)
    assert (read_image(tmp_path / "x.png") == RGB).all()


def test_our_limit_is_the_only_limit_of_pixels(tmp_path, monkeypatch):
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF"):
        Image.fromarray(RGB).save(tmp_path / kind, kind)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)  # Pillow refuses more than twice this
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF"):
        assert read_image(tmp_path / kind).shape == RGB.shape
        with pytest.raises(UnreadableImage, match=r"32 x 24 pixels are more than images\.max_megapixels = 0\.0007"):
            read_image(tmp_path / kind, max_megapixels=0.0007)
    assert Image.MAX_IMAGE_PIXELS == 300


def test_an_intact_photo_with_a_preview_behind_it(tmp_path):
    photos = [Image.fromarray(RGB), Image.fromarray(RGB[:8, :8].copy())]
    photos[0].save(tmp_path / "x.jpg", "MPO", save_all=True, append_images=photos[1:], quality=97, subsampling=0)
    assert read_image(tmp_path / "x.jpg").shape == RGB.shape


# ---- seeded damage


def check_metadata(tmp_path, seed, count):
    path = tmp_path / "x"
    for name, content, pixels in with_metadata(np.random.default_rng(seed), count):
        path.write_bytes(content)
        assert same(read_image(path, max_seconds=5), every_turn(pixels)), f"{name}: other pixels than the intact file's"


def check_files(tmp_path, seed, count):
    """Each gives equal pixels, is refused, or (formats without checksums) decodes what its changed bytes say."""
    rng, path = np.random.default_rng(seed), tmp_path / "x"
    files = samples()
    intact = {}
    for name, content in files.items():
        path.write_bytes(content)
        intact[name] = read_image(path)
    refused = 0
    for number in range(count):
        name = list(files)[number % len(files)]
        path.write_bytes(damaged(files[name], rng))
        try:
            pixels = read_image(path, max_megapixels=20, max_seconds=5)
        except UnreadableImage as error:
            assert "max_seconds" not in str(error), f"{name} {number}: hangs"
            refused += 1
            continue
        assert pixels.dtype == np.uint8
        assert pixels.ndim == 3
        assert pixels.shape[2] == 3
        if name.startswith("png"):  # every chunk that pixels depend on has a checksum
            assert same(pixels, every_turn(intact[name])), f"{name} {number}: other pixels, and not a word"
    assert 0 < refused < count


def test_damaged_metadata_leave_the_pixels_as_they_are(tmp_path):
    check_metadata(tmp_path, 0, 100)


def test_damaged_files_are_read_or_refused(tmp_path):
    check_files(tmp_path, 0, 150)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 6))
def test_a_thousand_damaged_files_are_read_or_refused(tmp_path, seed):
    check_files(tmp_path, seed, 1000)
    check_metadata(tmp_path, seed, 400)
