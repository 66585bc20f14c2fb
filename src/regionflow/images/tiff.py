"""TIFF by its tags: tifffile says what they mean and decodes; what has no rule is refused by name.

Read: grey (black or white is zero), palette, RGB, CMYK, YCbCr and Lab; 1 to 16 bits; strips and tiles; chunky and
separate planes; every compression of imagecodecs; bands by choice. Reduced-resolution pages (overviews, previews) are
not looked at, a page that is a transparency mask is applied. Reference: TIFF 6.0 and the GeoTIFF profile of COG.
"""

import io
import logging
import math
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tifffile import COMPRESSION, PHOTOMETRIC, TiffFile, TiffPage

from regionflow.images.bands import Alpha, Bands
from regionflow.images.errors import UnreadableImage
from regionflow.images.tiff_tags import only_pixel_tags

# It reports what it repairs or skips in a file; what matters to pixels is checked here.
logging.getLogger("tifffile").setLevel(logging.CRITICAL)

MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_JPEG = (COMPRESSION.JPEG, COMPRESSION.ALT_JPEG)
_INK_SET, _CMYK, _ORIENTATION, _PHOTOMETRIC = 332, 1, 274, 262
_MAX_PAGES = 10_000
_SAMPLE_FORMATS = {2: "signed integers", 3: "floating point", 5: "complex", 6: "complex floating point"}


def decode(file: BinaryIO, max_megapixels: float) -> tuple[Bands, int]:
    """The bands of the one full-resolution page of a file, and its orientation (1-8).

    Raises UnreadableImage for what has no rule; other errors come from damaged files.
    """
    with TiffFile(only_pixel_tags(file)) as tiff:
        page, mask = _full_page(tiff)
        _check_size(page, max_megapixels)
        _check_samples(page)
        bands = _bands(page)
        if mask is not None and not bands.alpha:
            bands = _masked(bands, mask)
        orientation = page.tags.valueof(_ORIENTATION)
    known = isinstance(orientation, int) and 1 <= orientation <= 8
    return bands, int(orientation) if known else 1


def _full_page(tiff: TiffFile) -> tuple[TiffPage, TiffPage | None]:
    """The one page of full resolution, and the transparency mask beside it if there is one."""
    count = len(tiff.pages)
    if count > _MAX_PAGES:
        raise UnreadableImage(_several(count))
    pages = [page for page in tiff.pages if isinstance(page, TiffPage)]
    full = [page for page in pages if not page.subfiletype & (_REDUCED | _MASK)]
    if not full and count == 1:
        full = pages
    if not full:
        raise UnreadableImage("holds reduced-resolution pages only (a raw photo?); save it as an image of its own")
    if len(full) > 1:
        raise UnreadableImage(_several(len(full)))
    frames = _imagej_frames(tiff)
    if frames > 1:
        raise UnreadableImage(_several(frames))
    shape = full[0].imagelength, full[0].imagewidth
    masks = [p for p in pages if p.subfiletype & _MASK and not p.subfiletype & _REDUCED]
    masks = [p for p in masks if (p.imagelength, p.imagewidth) == shape and p is not full[0]]
    return full[0], masks[0] if masks else None


def _several(count: int) -> str:
    return f"holds {count} frames or pages; save the one you want as an image of its own"


def _imagej_frames(tiff: TiffFile) -> int:
    """Frames of an ImageJ stack, which may stand behind one page."""
    try:
        return int((tiff.imagej_metadata or {}).get("images", 1)) if tiff.is_imagej else 1
    except Exception:  # metadata: whatever is wrong with it, there is the page
        return 1


def _check_size(page: TiffPage, max_megapixels: float) -> None:
    width, height = page.imagewidth, page.imagelength
    if width * height > max_megapixels * 1e6:
        raise UnreadableImage(
            f"{width} x {height} pixels are more than images.max_megapixels = {max_megapixels:g} megapixels"
        )
    if page.imagedepth != 1 or page.tiledepth != 1:
        raise UnreadableImage("is a volume, not an image")
    if width == 0 or height == 0:
        raise UnreadableImage("damaged: it has no pixels")
    # Memory that the tags ask for, whatever the file holds: 16 bytes a pixel of the largest image, or what is there.
    limit = max(max_megapixels * 1e6 * 16, 64 * page.parent.filehandle.size)
    tile = page.tilewidth * page.tilelength if page.is_tiled else 0
    if max(width * height, tile) * page.samplesperpixel * 2 > limit:
        raise UnreadableImage(f"{width} x {height} pixels in {page.samplesperpixel} bands are too much to decode")


def _check_samples(page: TiffPage) -> None:
    """Refuse what cannot be decoded exactly, by name."""
    if page.tags.get(_PHOTOMETRIC) is None and page.compression != COMPRESSION.OJPEG:
        raise UnreadableImage("damaged: it has no photometric interpretation, so black and white are not told apart")
    if (
        page.sampleformat in _SAMPLE_FORMATS
        or not isinstance(page.sampleformat, int)
        or page.sampleformat not in (1, 4)
    ):
        kind = _SAMPLE_FORMATS.get(page.sampleformat, f"sample format {page.sampleformat!r}")
        raise UnreadableImage(f"pixels of {page.bitspersample} bits, {kind}, have no rule; convert it to 8 or 16 bit")
    if not isinstance(page.bitspersample, int):
        raise UnreadableImage(f"bands of different depth ({page.bitspersample} bits) have no rule")
    if not 1 <= page.bitspersample <= 16 or page.dtype is None:
        raise UnreadableImage(f"pixels of {page.bitspersample} bits have no rule; convert it to 8 or 16 bit")
    planes = page.samplesperpixel if page.planarconfig == 2 else 1
    if page.is_tiled:
        segments = math.ceil(page.imagewidth / page.tilewidth) * math.ceil(page.imagelength / page.tilelength) * planes
    else:
        segments = math.ceil(page.imagelength / max(1, page.rowsperstrip)) * planes
    if min(len(page.dataoffsets), len(page.databytecounts)) < segments:
        raise UnreadableImage(f"damaged: fewer than the {segments} strips or tiles that it should have")
    empty = sum(
        not (offset and size)
        for offset, size in zip(page.dataoffsets[:segments], page.databytecounts[:segments], strict=True)
    )
    if empty:
        raise UnreadableImage(f"{empty} of its {segments} strips or tiles hold no data")


def _bands(page: TiffPage) -> Bands:
    kind, bits, count = page.photometric, page.bitspersample, page.samplesperpixel
    if kind in (PHOTOMETRIC.MINISBLACK, PHOTOMETRIC.MINISWHITE):
        samples = _samples(page)
        if kind == PHOTOMETRIC.MINISWHITE:
            samples[..., 0] = ((1 << bits) - 1) - samples[..., 0]
        return Bands(samples, bits, 1, _alpha(page, 1), by_choice=True)
    if kind == PHOTOMETRIC.RGB:
        if count < 3:
            raise UnreadableImage(f"damaged: RGB of {count} bands")
        return Bands(_samples(page), bits, 3, _alpha(page, 3), by_choice=True)
    if kind == PHOTOMETRIC.PALETTE:
        return Bands(_from_palette(page), 8, 3)
    if kind == PHOTOMETRIC.SEPARATED:
        return Bands(_from_cmyk(page), 8, 3)
    if kind == PHOTOMETRIC.YCBCR and page.compression in _JPEG and bits == 8 and count == 3:
        return Bands(_samples(page), 8, 3)  # the JPEG decoder converts
    if kind in (PHOTOMETRIC.YCBCR, PHOTOMETRIC.CIELAB) and bits == 8 and count == 3 and len(page.parent.pages) == 1:
        return Bands(_by_pillow(page), 8, 3)
    name = kind.name if isinstance(kind, PHOTOMETRIC) else repr(kind)
    raise UnreadableImage(f"colours of the kind {name} in {count} bands of {bits} bits have no rule; convert it to RGB")


def _samples(page: TiffPage) -> NDArray:
    """Decoded samples [H, W, n], uint8 or uint16."""
    height, width, count = page.imagelength, page.imagewidth, page.samplesperpixel
    samples = page.asarray(squeeze=False, maxworkers=1)
    if samples.size != height * width * count:
        raise UnreadableImage("damaged: its strips or tiles do not make up the image")
    samples = np.moveaxis(samples.reshape(page.shaped), 0, -2).reshape(height, width, count)
    dtype = np.uint8 if page.bitspersample <= 8 else np.uint16
    return np.array(samples, dtype, order="C")


def _alpha(page: TiffPage, colours: int) -> Alpha:
    """What the tags say about the band behind the colours; that it is the last is for `to_rgb` to see."""
    extra = page.extrasamples
    kinds = tuple(int(kind) for kind in (extra if isinstance(extra, tuple | list) else (extra,)))
    if page.samplesperpixel <= colours or not kinds:
        return ""
    names: dict[int, Alpha] = {1: "premultiplied", 2: "straight"}
    return names.get(kinds[0], "")


def _from_palette(page: TiffPage) -> NDArray[np.uint8]:
    colours = page.colormap
    if page.samplesperpixel != 1 or page.bitspersample > 8:
        said = f"{page.bitspersample} bits in {page.samplesperpixel} band(s)"
        raise UnreadableImage(f"a palette of {said} has no rule; convert it to RGB")
    if colours is None:
        raise UnreadableImage("damaged: it has no palette")
    colours = np.asarray(colours)
    if colours.shape != (3, 1 << page.bitspersample):
        raise UnreadableImage(f"damaged: its palette has the shape {colours.shape}")
    # Some writers store 8-bit colours in the 16-bit palette; libtiff takes them so, too.
    table = (colours >> 8 if colours.max() > 255 else colours).astype(np.uint8).T
    return table[_samples(page)[..., 0]]


def _from_cmyk(page: TiffPage) -> NDArray[np.uint8]:
    """By Pillow's formula, which knows no colour profile."""
    if page.samplesperpixel != 4 or page.tags.valueof(_INK_SET, _CMYK) != _CMYK or page.bitspersample not in (8, 16):
        raise UnreadableImage("inks other than cyan, magenta, yellow and black have no rule; convert it to RGB")
    inks = _samples(page)
    inks = np.ascontiguousarray((inks >> 8 if page.bitspersample == 16 else inks).astype(np.uint8))
    return np.asarray(Image.frombuffer("CMYK", inks.shape[1::-1], inks, "raw", "CMYK", 0, 1).convert("RGB"))


def _by_pillow(page: TiffPage) -> NDArray[np.uint8]:
    """8-bit YCbCr and Lab, which libtiff converts (subsampled chroma, reference black and white)."""
    file = page.parent.filehandle
    file.seek(0)
    content = io.BytesIO(file.read())
    with Image.open(content, formats=["TIFF"]) as image:
        image.load()
        return np.asarray(image.convert("RGB"))


def _masked(bands: Bands, mask: TiffPage) -> Bands:
    """Pixels outside of a transparency mask become transparent."""
    inside = _samples(mask)[..., 0] > 0
    if bands.samples.shape[2] != bands.colours:
        return bands
    alpha = np.where(inside, (1 << bands.bits) - 1, 0).astype(bands.samples.dtype)
    return Bands(np.dstack([bands.samples, alpha]), bands.bits, bands.colours, "sure")
