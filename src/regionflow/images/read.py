"""The one image loader: every stage sees the same upright RGB pixels, or the same reason why there are none.

Rules: EXIF orientation is applied. 16-bit grey keeps its high byte (value // 256), as Pillow does for 16-bit colour.
Transparent pixels are laid over white. Palette, CMYK, 1-bit and grey images are converted to RGB by Pillow. Refused
with a reason: anything else (float or 32-bit pixels, several pages or frames, truncated data, more pixels than
`max_megapixels`, which is checked against the header before anything is decoded).
"""

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from regionflow.base.errors import UserError

FORMATS = ("JPEG", "PNG", "TIFF", "WEBP", "BMP", "GIF", "PPM", "JPEG2000")
SIXTEEN_BIT_GREY = ("I;16", "I;16L", "I;16B", "I;16N")
CONVERTIBLE = ("1", "L", "P", "RGB", "CMYK", "YCbCr", "LAB", "HSV")
TRANSPARENT = ("LA", "La", "PA", "RGBA", "RGBa")


class UnreadableImage(UserError):
    """An image that cannot become RGB pixels; the text is the reason, for people."""


def read(path: Path, max_megapixels: float = 250.0) -> NDArray[np.uint8]:
    """Read an image as RGB, uint8 [H, W, 3], upright.

    Raises UnreadableImage with the reason, whatever is wrong with the file.
    """
    try:
        with warnings.catch_warnings():
            # Our own limit replaces Pillow's, and odd metadata that Pillow warns about does not touch the pixels.
            warnings.simplefilter("ignore")
            return _decode(path, max_megapixels)
    except UnreadableImage:
        raise
    except FileNotFoundError:
        raise UnreadableImage("the file is gone") from None
    except UnidentifiedImageError:
        size = path.stat().st_size
        raise UnreadableImage("the file is empty" if size == 0 else "not an image of a known format") from None
    except Image.DecompressionBombError:
        raise UnreadableImage(f"more than images.max_megapixels = {max_megapixels:g} megapixels") from None
    except (OSError, ValueError, SyntaxError, MemoryError, EOFError, IndexError, TypeError, KeyError) as error:
        # What Pillow's decoders raise on damaged files.
        text = " ".join(str(error).split()) or type(error).__name__
        raise UnreadableImage(f"damaged: {text}") from error


def _decode(path: Path, max_megapixels: float) -> NDArray[np.uint8]:
    with Image.open(path, formats=FORMATS) as image:
        width, height = image.size
        if width * height > max_megapixels * 1e6:
            raise UnreadableImage(
                f"{width} x {height} pixels are more than images.max_megapixels = {max_megapixels:g} megapixels"
            )
        frames = getattr(image, "n_frames", 1)
        # MPO is what many phones write: a JPEG with a preview behind it; its first frame is the photo.
        if frames > 1 and image.format != "MPO":
            raise UnreadableImage(f"holds {frames} frames or pages; save the one you want as an image of its own")
        image.load()
        upright = ImageOps.exif_transpose(image)
    return np.ascontiguousarray(np.asarray(_to_rgb(upright)))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in SIXTEEN_BIT_GREY:
        return Image.fromarray((np.asarray(image).astype(np.uint16) >> 8).astype(np.uint8)).convert("RGB")
    if image.mode in TRANSPARENT or (image.mode in CONVERTIBLE and "transparency" in image.info):
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    if image.mode in CONVERTIBLE:
        return image.convert("RGB")
    raise UnreadableImage(
        f"pixels of type {image.mode} (32-bit or float) have no rule; convert the image to 8 or 16 bit"
    )
