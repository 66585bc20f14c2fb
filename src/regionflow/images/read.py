"""The one image loader: every stage sees the same upright RGB pixels, or the same reason why there are none.

The content of a file decides, never its name. TIFF is read by its tags (tiff.py), everything else by Pillow without
metadata (metadata.py). Transparent pixels are laid over white; palette, CMYK, 1-bit and grey become RGB; 16 bits become
8 by `scale_16bit` (bands.py). Colour profiles are not applied. Refused with a reason: float and 32-bit pixels, several
pages or frames, bands that the file gives no meaning and nobody chose, damaged data, more pixels than `max_megapixels`
(checked against the header before anything is decoded), and whatever takes longer than `max_seconds`.
"""

import ctypes
import io
import threading
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from regionflow.base.pixel_limit import without_pixel_limit
from regionflow.images import deep, metadata, tiff
from regionflow.images.bands import Bands, Reading, to_rgb
from regionflow.images.errors import UnreadableImage
from regionflow.images.files import open_file
from regionflow.images.options import Scale16Bit

__all__ = ["Reading", "UnreadableImage", "look", "read_image"]

FORMATS = ["JPEG", "PNG", "WEBP", "BMP", "GIF", "PPM", "JPEG2000", "AVIF"]
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"}
SIXTEEN_BIT_GREY = ("I;16", "I;16L", "I;16B", "I;16N")
CONVERTIBLE = ("1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB", "HSV")
TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")
_TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.transpose(1, 0, 2),
    6: lambda pixels: pixels[::-1].transpose(1, 0, 2),
    7: lambda pixels: pixels[::-1, ::-1].transpose(1, 0, 2),
    8: lambda pixels: pixels[:, ::-1].transpose(1, 0, 2),
}


def read_image(
    path: Path,
    max_megapixels: float = 250.0,
    bands: Sequence[int] | None = None,
    scale_16bit: Scale16Bit = "high_byte",
    max_seconds: float = 120.0,
) -> NDArray[np.uint8]:
    """Read an image as RGB, uint8 [H, W, 3], upright; the options are those of `images` in the configuration.

    Raises UnreadableImage with the reason, whatever is wrong with the file.
    """
    return look(path, max_megapixels, bands, scale_16bit, max_seconds).pixels


def look(
    path: Path,
    max_megapixels: float = 250.0,
    bands: Sequence[int] | None = None,
    scale_16bit: Scale16Bit = "high_byte",
    max_seconds: float = 120.0,
) -> Reading:
    """What `read_image` gives, and a note about the file where there is one."""
    return _within(max_seconds, lambda: _look(path, max_megapixels, bands, scale_16bit))


def opens_upright(path: Path) -> bool:
    """Whether a program that opens the file with Pillow, and looks at no metadata, sees what `read_image` gives:
    8 bits and not turned. Transparency aside, which such a program takes as it likes.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            return image.mode in (*CONVERTIBLE, *TRANSPARENT) and _orientation(image) == 1
    except Exception:  # as decoders do
        return False


class _TooSlow(BaseException):
    """Raised in a reader's thread to end it; not an Exception, so that no decoder catches it."""


def _within(seconds: float, work: Callable[[], Reading]) -> Reading:
    """The result of `work`, done in a thread of its own, which is given up after a time."""
    results: list[Reading] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    if results:
        return results[0]
    if errors and not isinstance(errors[0], _TooSlow):
        raise errors[0]
    # Ends a loop in Python. Native code runs on until it returns; its result is not waited for.
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(_TooSlow))
    raise UnreadableImage(f"reading it takes longer than images.max_seconds = {seconds:g} seconds")


def _look(path: Path, max_megapixels: float, bands: Sequence[int] | None, scale: Scale16Bit) -> Reading:
    try:
        with warnings.catch_warnings(), open_file(path) as file:
            # Odd metadata that Pillow warns about does not touch the pixels.
            warnings.simplefilter("ignore")
            decoded, orientation = _decode(file, max_megapixels)
            reading = to_rgb(decoded, bands, scale)
    except UnreadableImage:
        raise
    except UnidentifiedImageError:
        raise UnreadableImage("not an image of a known format") from None
    except MemoryError:
        raise UnreadableImage("there is not enough memory to decode it") from None
    except Exception as error:
        # Decoders raise anything on damaged files: struct.error, AttributeError, IndexError, their own classes.
        text = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnreadableImage(f"damaged: {text}") from error
    turn = _TURNS.get(orientation)
    pixels = np.ascontiguousarray(turn(reading.pixels)) if turn else reading.pixels
    return Reading(pixels, reading.note)


def _decode(file: BinaryIO, max_megapixels: float) -> tuple[Bands, int]:
    """Bands and orientation, by the first bytes of the file."""
    start = file.read(16)
    file.seek(0)
    if not start:
        raise UnreadableImage("the file is empty")
    if start[:4] in tiff.MAGIC:
        return tiff.decode(file, max_megapixels)
    content = file.read()
    if (bands := _deep(content, max_megapixels)) is not None:
        return bands, 1
    bare = metadata.Bare(content, 0)
    if start.startswith(metadata.PNG_SIGNATURE):
        bare = metadata.bare_png(content)
    elif start.startswith(b"\xff\xd8\xff"):
        bare = metadata.bare_jpeg(content)
    elif start[4:8] == b"ftyp":
        bare = metadata.bare_heif(content)
    formats = _heif_formats() if _is_heif(content) else FORMATS
    _check_frames(bare.frames)
    with without_pixel_limit(), Image.open(io.BytesIO(bare.content), formats=formats) as image:
        _check_size(image.size, max_megapixels)
        _check_frames(getattr(image, "n_frames", 1))
        orientation = bare.orientation or _orientation(image)
        if image.format == "PNG" and bare.content[24] == 16:
            return png_16_bit(bare.content, image.info.get("transparency")), orientation
        image.load()
    return _bands(image), orientation


def _deep(content: bytes, max_megapixels: float) -> Bands | None:
    """The bands of a picture that Pillow would cut down to 8 bits."""

    def check(size: tuple[int, int]) -> None:
        _check_size(size, max_megapixels)

    return deep.jpeg2000(content, check) or deep.netpbm(content, check)


def _check_size(size: tuple[int, int], max_megapixels: float) -> None:
    width, height = size
    if width * height > max_megapixels * 1e6:
        raise UnreadableImage(
            f"{width} x {height} pixels are more than images.max_megapixels = {max_megapixels:g} megapixels"
        )


def _check_frames(frames: int) -> None:
    if frames > 1:
        raise UnreadableImage(f"holds {frames} frames or pages; save the one you want as an image of its own")


def _orientation(image: Image.Image) -> int:
    """Of what Pillow keeps as raw blocks: EXIF first, then XMP."""
    exif, xmp = image.info.get("exif", b""), image.info.get("xmp", b"")
    orientation = metadata.exif_orientation(exif if isinstance(exif, bytes) else b"")
    return orientation if orientation != 1 else metadata.xmp_orientation(xmp if isinstance(xmp, bytes) else b"")


def _bands(image: Image.Image) -> Bands:
    mode = image.mode
    if mode in SIXTEEN_BIT_GREY or (mode == "I" and image.format == "PPM"):
        return Bands(np.asarray(image).astype(np.uint16)[..., None], 16, 1)
    if image.format == "JPEG2000" and mode in ("LA", "RGBA"):
        # Pillow takes any second or fourth component for transparency.
        samples = np.asarray(image)
        return Bands(samples, 8, samples.shape[2] - 1, "straight", by_choice=True)
    if mode in TRANSPARENT or (mode in CONVERTIBLE and "transparency" in image.info):
        rgba = image.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Bands(np.asarray(Image.alpha_composite(white, rgba).convert("RGB")), 8, 3)
    if mode in CONVERTIBLE:
        return Bands(np.asarray(image.convert("RGB")), 8, 3)
    raise UnreadableImage(f"pixels of type {mode} (32-bit or float) have no rule; convert the image to 8 or 16 bit")


def png_16_bit(content: bytes, transparent: int | Sequence[int] | None) -> Bands:
    """A PNG of 16 bits with all of them, which Pillow gives for grey alone; `transparent`: the colour of its tRNS."""
    samples = np.asarray(imagecodecs.png_decode(metadata.without_transparency(content)))
    samples = samples if samples.ndim == 3 else samples[..., None]
    if samples.dtype != np.uint16:
        raise UnreadableImage("damaged: its header says 16 bits")
    has_alpha = samples.shape[2] in (2, 4)
    if transparent is not None and not has_alpha:
        clear = (samples == np.asarray(transparent, np.uint16)).all(axis=2)
        samples = np.dstack([samples, np.where(clear, 0, 0xFFFF).astype(np.uint16)])
        has_alpha = True
    return Bands(samples, 16, samples.shape[2] - has_alpha, "sure" if has_alpha else "")


def _is_heif(content: bytes) -> bool:
    if content[4:8] != b"ftyp":
        return False
    brands = content[8 : int.from_bytes(content[:4])][:256]
    names = {brands[at : at + 4] for at in range(0, len(brands), 4)}
    return bool(names & _HEIF_BRANDS) and not names & {b"avif", b"avis"}


def _heif_formats() -> list[str]:
    try:
        import pillow_heif
    except ImportError:
        raise UnreadableImage(
            "HEIC, which needs pillow-heif: pip install 'regionflow[heif]', or convert it to JPEG"
        ) from None
    pillow_heif.register_heif_opener()
    return ["HEIF"]
