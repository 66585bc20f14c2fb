"""What the tags of a file say decides its pixels: photometric, planes, bands, depth, pages. Nothing is guessed."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from helpers.damaged_images import photo
from regionflow.images.read import UnreadableImage, look, read_image

RGB = photo(48, 64)
GREY = RGB[..., 0].copy()
WIDE = RGB.astype(np.uint16) * 257
NIR = np.clip(255 - RGB[..., 0].astype(int) + 20, 0, 255).astype(np.uint8)


def tiff(tmp_path, pixels, **options):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, pixels, **{"metadata": None, **options})
    return path


def shown(pixels):
    """What a reader should see of grey [H, W] or RGB pixels of 8 bits."""
    return np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "lzw", "zlib", "packbits", "zstd"])
@pytest.mark.parametrize("layout", [{}, {"rowsperstrip": 5}, {"tile": (16, 32)}])
@pytest.mark.parametrize("planes", ["contig", "separate"])
@pytest.mark.parametrize("source", [RGB, WIDE], ids=["8bit", "16bit"])
def test_rgb_is_the_same_in_every_layout(tmp_path, source, planes, layout, compression, byteorder):  # noqa: PLR0917
    pixels = source.transpose(2, 0, 1) if planes == "separate" else source
    options = {"photometric": "rgb", "planarconfig": planes, "compression": compression, "byteorder": byteorder}
    assert (read_image(tiff(tmp_path, pixels, **options, **layout)) == RGB).all()


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 10, 12, 14, 16])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
def test_grey_of_every_depth_has_its_black_and_white_where_the_tags_say(tmp_path, photometric, bits, bigtiff):
    values = GREY.astype(np.uint16) >> (8 - bits) if bits <= 8 else (GREY.astype(np.uint16) << (bits - 8))
    stored = ((1 << bits) - 1) - values if photometric == "miniswhite" else values
    stored = stored.astype(bool if bits == 1 else np.uint8 if bits <= 8 else np.uint16)
    path = tiff(tmp_path, stored, photometric=photometric, bigtiff=bigtiff, bitspersample=bits)
    expected = GREY if bits >= 8 else values * 255 // ((1 << bits) - 1)
    assert (read_image(path) == shown(expected)).all()


def test_a_palette_and_inks(tmp_path):
    palette = Image.fromarray(RGB).convert("P")
    palette.save(tmp_path / "p.tif")
    assert (read_image(tmp_path / "p.tif") == np.asarray(palette.convert("RGB"))).all()
    inks = Image.fromarray(RGB).convert("CMYK")
    expected = np.asarray(inks.convert("RGB"))
    assert (read_image(tiff(tmp_path, np.asarray(inks), photometric="separated")) == expected).all()
    assert (
        read_image(tiff(tmp_path, np.asarray(inks).astype(np.uint16) * 257, photometric="separated")) == expected
    ).all()


@pytest.mark.parametrize("mode", ["YCbCr", "LAB"])
def test_what_libtiff_converts(tmp_path, mode):
    if mode == "LAB":
        tifffile.imwrite(
            tmp_path / "x.tif", np.full((4, 5, 3), (128, 0, 0), np.uint8), photometric="cielab", metadata=None
        )
        assert np.abs(read_image(tmp_path / "x.tif").astype(int) - 119).max() <= 1  # L* = 50, neutral
        return
    image = Image.fromarray(RGB).convert(mode)
    image.save(tmp_path / "x.tif")
    assert np.abs(read_image(tmp_path / "x.tif").astype(int) - RGB).max() <= 4


def test_jpeg_in_tiff(tmp_path):
    path = tiff(tmp_path, RGB, photometric="rgb", compression="jpeg", compressionargs={"level": 97})
    assert np.abs(read_image(path).astype(int) - RGB).mean() < 4


@pytest.mark.parametrize("extra", ["unspecified", "unassalpha", "assocalpha"])
def test_a_fourth_band_of_data_is_never_blended_nor_dropped_unasked(tmp_path, extra):
    path = tiff(tmp_path, np.dstack([RGB, NIR]), photometric="rgb", extrasamples=[extra])
    with pytest.raises(UnreadableImage, match=r"images.bands"):
        read_image(path)
    assert (read_image(path, bands=[1, 2, 3]) == RGB).all()
    assert (read_image(path, bands=[4, 3, 2]) == np.dstack([NIR, RGB[..., 2], RGB[..., 1]])).all()
    assert (read_image(path, bands=[4]) == shown(NIR)).all()


@pytest.mark.parametrize("premultiplied", [False, True])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_true_transparency_is_laid_over_white(tmp_path, planes, premultiplied):
    alpha = np.full(GREY.shape, 255, np.uint8)
    alpha[:10] = 0
    rgba = np.dstack([RGB * (alpha[..., None] > 0) if premultiplied else RGB, alpha])
    pixels = rgba.transpose(2, 0, 1) if planes == "separate" else rgba
    kind = "assocalpha" if premultiplied else "unassalpha"
    path = tiff(tmp_path, pixels, photometric="rgb", planarconfig=planes, extrasamples=[kind])
    expected = RGB.copy()
    expected[:10] = 255
    assert (read_image(path) == expected).all()


def test_bands_without_a_meaning_are_refused_by_number(tmp_path):
    options = {"photometric": "minisblack", "planarconfig": "contig"}
    two = tiff(tmp_path, np.dstack([GREY, NIR]), extrasamples=["unspecified"], **options)
    with pytest.raises(UnreadableImage, match="has 2 bands"):
        read_image(two)
    assert (read_image(two, bands=[2]) == shown(NIR)).all()
    with pytest.raises(UnreadableImage, match=r"has 2 bands; images.bands asks for band 3"):
        read_image(two, bands=[1, 2, 3])
    many = tiff(tmp_path, np.dstack([RGB, NIR, GREY]), extrasamples=["unspecified"] * 4, **options)
    with pytest.raises(UnreadableImage, match="has 5 bands"):
        read_image(many)
    assert (read_image(many, bands=[1, 2, 3]) == RGB).all()


def test_ordinary_files_do_not_change_with_bands(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "x.png")
    assert (read_image(tmp_path / "x.png", bands=[4, 3, 2]) == RGB).all()
    assert (read_image(tiff(tmp_path, GREY), bands=[4, 3, 2]) == shown(GREY)).all()


def test_a_fourth_component_of_jpeg2000_is_no_transparency_unasked(tmp_path):
    rgba = Image.fromarray(np.dstack([RGB, NIR]))
    rgba.save(tmp_path / "x.jp2")
    with pytest.raises(UnreadableImage, match=r"images.bands"):
        read_image(tmp_path / "x.jp2")
    assert (read_image(tmp_path / "x.jp2", bands=[1, 2, 3]) == RGB).all()


@pytest.mark.parametrize(
    ("pixels", "reason"),
    [
        (GREY.astype(np.float32), "floating point"),
        (GREY.astype(np.int16), "signed"),
        (GREY.astype(np.uint32), "32 bits"),
        (GREY.astype(np.int8), "signed"),
        (GREY.astype(np.complex64), "complex"),
    ],
)
def test_samples_without_a_rule_are_named(tmp_path, pixels, reason):
    with pytest.raises(UnreadableImage, match=reason):
        read_image(tiff(tmp_path, pixels, photometric="minisblack"))


@pytest.mark.parametrize("photometric", ["cfa", "linear_raw", "icclab"])
def test_colours_without_a_rule_are_named(tmp_path, photometric):
    options = (
        {"extratags": [(33421, "H", 2, (2, 2), True), (33422, "B", 4, b"\0\1\1\2", True)]}
        if photometric == "cfa"
        else {}
    )
    with pytest.raises(UnreadableImage, match=photometric.upper()):
        read_image(tiff(tmp_path, GREY if photometric == "cfa" else RGB, photometric=photometric, **options))


def test_reduced_pages_are_no_pages_of_their_own(tmp_path):
    path = tmp_path / "cog.tif"
    with tifffile.TiffWriter(path) as file:
        for step in (1, 2, 4):
            page = np.ascontiguousarray(RGB[::step, ::step])
            file.write(page, photometric="rgb", tile=(16, 16), subfiletype=int(step > 1), metadata=None)
    assert (read_image(path) == RGB).all()
    with tifffile.TiffWriter(path) as file:  # a preview first, as cameras write it
        file.write(np.ascontiguousarray(RGB[::4, ::4]), photometric="rgb", subfiletype=1, metadata=None)
        file.write(RGB, photometric="rgb", metadata=None)
    assert (read_image(path) == RGB).all()


def test_a_mask_page_hides_what_it_excludes(tmp_path):
    path = tmp_path / "x.tif"
    inside = np.zeros(GREY.shape, bool)
    inside[8:] = True
    with tifffile.TiffWriter(path) as file:
        file.write(RGB, photometric="rgb", metadata=None)
        file.write(inside, photometric="mask", subfiletype=4, metadata=None)
    expected = RGB.copy()
    expected[:8] = 255
    assert (read_image(path) == expected).all()


def test_a_tiff_of_too_many_pixels_is_refused_from_its_tags(tmp_path):
    path = tiff(tmp_path, RGB, tile=(16, 16))
    with pytest.raises(UnreadableImage, match=r"64 x 48 pixels are more than images\.max_megapixels = 0\.003 megapix"):
        read_image(path, max_megapixels=0.003)
    assert (read_image(path, max_megapixels=0.0031) == RGB).all()


def test_pages_and_stacks_are_refused_by_number(tmp_path):
    with pytest.raises(UnreadableImage, match="3 frames or pages"):
        read_image(tiff(tmp_path, np.stack([GREY] * 3), photometric="minisblack"))
    imagej = tmp_path / "stack.tif"
    tifffile.imwrite(imagej, np.stack([GREY] * 3), imagej=True)
    with pytest.raises(UnreadableImage, match="3 frames or pages"):
        read_image(imagej)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_of_a_tiff_is_applied(tmp_path, orientation):
    path = tiff(tmp_path, RGB, photometric="rgb", extratags=[(274, "H", 1, orientation, True)])
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGB).save(tmp_path / "x.png", exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "x.png")))
    assert (read_image(path) == upright).all()
    assert (read_image(tmp_path / "x.png") == upright).all()


def test_missing_strips_are_told_not_filled(tmp_path):
    content = bytearray(tiff(tmp_path, RGB, photometric="rgb", rowsperstrip=8, compression="zlib").read_bytes())
    with tifffile.TiffFile(io.BytesIO(bytes(content))) as file:
        sizes = file.pages.first.tags[279]
    content[sizes.valueoffset : sizes.valueoffset + 2] = b"\0\0"
    (tmp_path / "x.tif").write_bytes(content)
    with pytest.raises(UnreadableImage, match=r"hold no data|damaged"):
        read_image(tmp_path / "x.tif")


# ---- 16 bits


def test_twelve_bits_in_sixteen_are_told_and_can_be_stretched(tmp_path):
    path = tiff(tmp_path, GREY.astype(np.uint16) * 16)
    reading = look(path)
    assert (reading.pixels == shown((GREY.astype(np.uint16) * 16 >> 8).astype(np.uint8))).all()
    assert "16 of 256 levels" in reading.note or "levels of grey" in reading.note
    stretched = look(path, scale_16bit="full_range")
    low, high = int(GREY.min()), int(GREY.max())
    expected = np.rint((GREY.astype(float) - low) * 255 / (high - low))
    assert np.abs(stretched.pixels[..., 0] - expected).max() <= 1
    assert stretched.note == ""
    assert look(tiff(tmp_path, WIDE, photometric="rgb")).note == ""


def test_percentiles_ignore_what_is_rare(tmp_path):
    values = np.linspace(1000, 2000, 10_000).astype(np.uint16).reshape(100, 100)
    values[0, :50] = 65535
    reading = look(tiff(tmp_path, values), scale_16bit="percentile")
    assert reading.pixels[0, 0, 0] == 255
    assert reading.pixels[5, 0, 0] < 20
    assert reading.pixels[95, 99, 0] > 240


@pytest.mark.parametrize("mode", ["RGB", "LA", "L", "RGBA"])
@pytest.mark.parametrize("scale", ["high_byte", "full_range"])
def test_sixteen_bit_png_of_every_kind(tmp_path, mode, scale):
    imagecodecs = pytest.importorskip("imagecodecs")
    values = {"RGB": WIDE, "L": WIDE[..., 0]}.get(mode)
    alpha = np.full((*GREY.shape, 1), 65535, np.uint16)
    if values is None:
        values = np.dstack([WIDE, alpha] if mode == "RGBA" else [WIDE[..., :1], alpha])
    path = tmp_path / "x.png"
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(values)))
    colours = RGB if mode.startswith("RGB") else GREY
    if scale == "high_byte":
        assert (read_image(path) == shown(colours)).all()
    else:
        low, high = int(colours.min()), int(colours.max())
        expected = np.rint((colours.astype(float) - low) * 255 / (high - low))
        assert np.abs(read_image(path, scale_16bit=scale) - shown(expected)).max() <= 1


@pytest.mark.parametrize("largest", [255, 4095, 65535])
def test_netpbm_grey_of_every_depth(tmp_path, largest):
    values = (GREY.astype(np.int64) * largest // 255).astype(">u2" if largest > 255 else np.uint8)
    (tmp_path / "x.pgm").write_bytes(b"P5 64 48 %d\n" % largest + values.tobytes())
    assert np.abs(read_image(tmp_path / "x.pgm").astype(int) - shown(GREY)).max() <= 1


def jpeg2000(path, samples, **options):
    imagecodecs = pytest.importorskip("imagecodecs")
    path.write_bytes(imagecodecs.jpeg2k_encode(samples, level=0, reversible=True, **options))
    return path


@pytest.mark.parametrize("bits", [9, 12, 16])
@pytest.mark.parametrize("form", ["JP2", "J2K"])
def test_deep_jpeg2000_keeps_all_its_bits(tmp_path, bits, form):
    path = jpeg2000(tmp_path / "x.jp2", WIDE >> (16 - bits), bitspersample=bits, codecformat=form)
    assert (read_image(path) == RGB).all()
    grey = jpeg2000(tmp_path / "y.jp2", WIDE[..., 0] >> (16 - bits), bitspersample=bits, codecformat=form)
    assert (read_image(grey) == shown(GREY)).all()


@pytest.mark.parametrize("kind", ["jp2", "ppm", "plain"])
def test_few_levels_of_sixteen_bits_are_told_and_can_be_stretched_in_colour(tmp_path, kind):
    dark = RGB.astype(np.uint16) * 16
    path = tmp_path / f"x.{kind}"
    if kind == "jp2":
        jpeg2000(path, dark)
    elif kind == "ppm":
        path.write_bytes(b"P6 # dark\n64 48\n# and\n65535\n" + dark.astype(">u2").tobytes())
    else:
        path.write_bytes(b"P3 64 48 65535\n" + b" ".join(b"%d" % value for value in dark.ravel().tolist()))
    assert "images.scale_16bit: full_range" in look(path).note
    low, high = int(RGB.min()), int(RGB.max())
    expected = np.rint((RGB.astype(float) - low) * 255 / (high - low))
    assert np.abs(read_image(path, scale_16bit="full_range").astype(int) - expected).max() <= 1


@pytest.mark.parametrize("largest", [255, 1023, 4095, 65535])
def test_netpbm_colour_of_every_depth(tmp_path, largest):
    values = (RGB.astype(np.int64) * largest // 255).astype(">u2" if largest > 255 else np.uint8)
    (tmp_path / "x.ppm").write_bytes(b"P6 64 48 %d\n" % largest + values.tobytes())
    assert np.abs(read_image(tmp_path / "x.ppm").astype(int) - RGB).max() <= 1
    if largest > 255:
        (tmp_path / "x.ppm").write_bytes(b"P6 64 48 %d\n" % largest + values.tobytes()[:-1])
        with pytest.raises(UnreadableImage, match="truncated"):
            read_image(tmp_path / "x.ppm")
        with pytest.raises(UnreadableImage, match=r"images\.max_megapixels"):
            read_image(tmp_path / "x.ppm", max_megapixels=0.001)


def test_bands_of_jpeg2000_are_chosen_or_refused(tmp_path):
    five = jpeg2000(tmp_path / "x.jp2", np.ascontiguousarray(np.dstack([RGB, RGB[..., :2]])))
    with pytest.raises(UnreadableImage, match=r"has 5 bands, of which the file names red, green and blue; choose one"):
        read_image(five)
    assert (read_image(five, bands=[1, 2, 3]) == RGB).all()
    four = jpeg2000(tmp_path / "y.jp2", np.dstack([WIDE, 65535 - WIDE[..., 0]]))
    with pytest.raises(UnreadableImage, match=r"its band 4 is tagged as transparency but looks like data"):
        read_image(four)
    assert (read_image(four, bands=[1, 2, 3]) == RGB).all()
    with pytest.raises(UnreadableImage, match=r"images\.max_megapixels"):
        read_image(five, max_megapixels=0.001)


def test_what_jpeg2000_may_hold_without_a_rule_is_named(tmp_path):
    signed = jpeg2000(tmp_path / "x.jp2", (WIDE[..., 0].astype(np.int32) - 32768).astype(np.int16))
    with pytest.raises(UnreadableImage, match="signed integers"):
        read_image(signed)
    inks = jpeg2000(tmp_path / "y.jp2", WIDE).read_bytes()
    (tmp_path / "y.jp2").write_bytes(inks.replace(b"colr\1\0\0\0\0\0\x10", b"colr\1\0\0\0\0\0\x12"))
    with pytest.raises(UnreadableImage, match="3 components of 16 bits in YCbCr has no rule"):
        read_image(tmp_path / "y.jp2")
    for cut in (80, 100, 200):
        (tmp_path / "z.jp2").write_bytes(inks[:cut])
        with pytest.raises(UnreadableImage):
            read_image(tmp_path / "z.jp2")
