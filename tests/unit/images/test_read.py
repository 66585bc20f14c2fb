"""One loader: upright RGB for every kind of file, or the reason why not."""

import io

import numpy as np
import pytest
from PIL import Image

from regionflow.images.read import UnreadableImage, read_image

ROTATIONS = {1: 0, 3: 2, 6: 3, 8: 1}


def saved(tmp_path, image, name="x.png", **options):
    path = tmp_path / name
    image.save(path, **options)
    return path


@pytest.mark.parametrize("orientation", ROTATIONS)
def test_exif_orientation_is_applied(tmp_path, orientation):
    pixels = np.zeros((40, 60, 3), np.uint8)
    pixels[:20, :20] = (255, 0, 0)
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, Image.fromarray(pixels), "x.jpg", exif=exif, quality=100, subsampling=0)
    upright = read_image(path)
    expected = np.rot90(pixels, ROTATIONS[orientation])
    assert upright.shape == expected.shape
    assert np.abs(upright.astype(int) - expected).mean() < 3


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "CMYK", "YCbCr", "LA", "RGBA"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    source = Image.new("RGB", (5, 4), (255, 255, 255)).convert(mode)
    pixels = read_image(saved(tmp_path, source, "x.tif" if mode in ("CMYK", "YCbCr") else "x.png"))
    assert pixels.shape == (4, 5, 3)
    assert pixels.dtype == np.uint8
    assert pixels.min() >= 253


def test_transparent_pixels_are_white(tmp_path):
    rgba = np.zeros((2, 2, 4), np.uint8)
    rgba[0, 0] = (10, 20, 30, 255)
    pixels = read_image(saved(tmp_path, Image.fromarray(rgba)))
    assert pixels[0, 0].tolist() == [10, 20, 30]
    assert (pixels[1, 1] == 255).all()


def test_a_transparent_palette_entry_is_white(tmp_path):
    palette = Image.new("P", (2, 1))
    palette.putpalette([0, 0, 0, 200, 100, 50])
    palette.putdata([0, 1])
    pixels = read_image(saved(tmp_path, palette, transparency=0))
    assert pixels[0].tolist() == [[255, 255, 255], [200, 100, 50]]


@pytest.mark.parametrize("name", ["x.png", "x.tif"])
def test_sixteen_bit_grey_keeps_its_high_byte(tmp_path, name):
    ramp = np.arange(0, 65536, 257, dtype=np.uint16).reshape(16, 16)
    pixels = read_image(saved(tmp_path, Image.fromarray(ramp), name))
    assert (pixels[..., 0] == ramp >> 8).all()
    assert (pixels[..., 0] == pixels[..., 2]).all()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("empty.jpg", b"", "empty"),
        ("text.jpg", b"<html>not found</html>", "not an image"),
        ("gone.jpg", None, "gone"),
    ],
)
def test_what_is_not_an_image_is_named(tmp_path, name, content, reason):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnreadableImage, match=reason):
        read_image(path)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_truncated_file_is_refused_never_half_filled(tmp_path, kind):
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, kind)
    path = tmp_path / "half.bin"
    path.write_bytes(buffer.getvalue()[: buffer.tell() // 2])
    with pytest.raises(UnreadableImage):
        read_image(path)


def test_a_decompression_bomb_is_refused_from_its_header(tmp_path):
    path = saved(tmp_path, Image.new("1", (2000, 1000)))
    assert read_image(path, max_megapixels=2).shape == (1000, 2000, 3)
    with pytest.raises(UnreadableImage, match=r"2000 x 1000 pixels.*max_megapixels = 1\.9"):
        read_image(path, max_megapixels=1.9)


def test_several_pages_and_float_pixels_are_refused(tmp_path):
    pages = [Image.new("L", (3, 3), i) for i in range(2)]
    with pytest.raises(UnreadableImage, match="2 frames or pages"):
        read_image(saved(tmp_path, pages[0], "p.tif", save_all=True, append_images=pages[1:]))
    with pytest.raises(UnreadableImage, match="32 bits, floating point"):
        read_image(saved(tmp_path, Image.new("F", (3, 3)), "f.tif"))
