"""Colour pictures of more than 8 bits that Pillow cuts down to 8: JPEG 2000 and netpbm, with all their bits.

How these become 8 is for `images.scale_16bit` to say, and for the note of images.tsv where a file uses few of them.
JPEG 2000 of more than four components, which Pillow does not open, is read for `images.bands`. Reference: ISO/IEC
15444-1 (annexes A and I), and the pages ppm(5) of netpbm.
"""

import re
from collections.abc import Callable, Iterator

import imagecodecs
import numpy as np

from regionflow.images.bands import Bands
from regionflow.images.errors import UnreadableImage

CheckSize = Callable[[tuple[int, int]], None]
"""Raises UnreadableImage for a size (width, height) that is too large."""

_CODESTREAM = b"\xff\x4f\xff\x51"  # start of codestream, and the marker of the sizes, which follows at once
_CONTAINER = b"\0\0\0\x0cjP  \r\n\x87\n"
_COLOURS = {12: "CMYK", 14: "CIELab", 18: "YCbCr", 24: "YCbCr"}
_GAP = rb"(?:\s*#[^\r\n]*[\r\n])*\s+(?:#[^\r\n]*[\r\n]\s*)*"
_PPM = re.compile(rb"P([36])" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)" + _GAP + rb"(\d+)\s")


def jpeg2000(content: bytes, check_size: CheckSize) -> Bands | None:
    """The components of a JPEG 2000 file of more than 8 bits or four components; None for any other file.

    Raises UnreadableImage for samples and colours that have no rule.
    """
    if not content.startswith((_CODESTREAM, _CONTAINER)):  # before the search: a photo is megabytes of anything else
        return None
    at = content.find(_CODESTREAM)
    if at < 0:
        return None
    sizes = content[at + 6 :]
    right, lower, left, upper = (int.from_bytes(sizes[i : i + 4]) for i in (2, 6, 10, 14))
    count = int.from_bytes(sizes[34:36])
    components = [sizes[36 + 3 * i : 39 + 3 * i] for i in range(count)]
    if not components or len(components[-1]) < 3:
        raise UnreadableImage("damaged: its header is truncated")
    check_size((right - left, lower - upper))
    depths = {(component[0] & 127) + 1 for component in components}
    if any(component[0] & 128 for component in components):
        raise UnreadableImage("pixels of signed integers have no rule; convert it to 8 or 16 bit")
    if max(depths) <= 8 and count <= 4:
        return None
    colours = _colour_space(content[:at])
    if len(depths) > 1 or max(depths) > 16 or any(component[1:] != b"\1\1" for component in components) or colours:
        said = f"{count} components of {', '.join(map(str, sorted(depths)))} bits"
        raise UnreadableImage(f"JPEG 2000 of {said}{colours} has no rule; convert it to 8 or 16 bit RGB")
    samples = np.asarray(imagecodecs.jpeg2k_decode(content))
    samples = samples if samples.ndim == 3 else samples[..., None]
    if samples.shape[2] != count:
        raise UnreadableImage(f"JPEG 2000 with a palette of {samples.shape[2]} colours has no rule; convert it to RGB")
    # As Pillow does, any second or fourth component may be transparency; what it is `to_rgb` finds out.
    alpha = count in (2, 4)
    named = count - alpha if count <= 4 else 3
    return Bands(samples, depths.pop(), named, "straight" if alpha else "", by_choice=True)


def _colour_space(head: bytes) -> str:
    """The colours of a JP2 container in words where they are neither grey nor RGB."""
    for kind, data in _boxes(head):
        if kind == b"jp2h":
            for inner, said in _boxes(data):
                if inner == b"colr" and said[:1] == b"\1":
                    name = _COLOURS.get(int.from_bytes(said[3:7]), "")
                    return f" in {name}" if name else ""
    return ""


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Type and content of the boxes in a container or in a box."""
    at = 0
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4])
        end = at + length if length >= 8 else len(data)
        yield data[at + 4 : at + 8], data[at + 8 : end]
        at = end


def netpbm(content: bytes, check_size: CheckSize) -> Bands | None:
    """The samples of a PPM of more than 8 bits; None for any other file."""
    head = _PPM.match(content[:4096])
    largest = int(head[4]) if head else 0
    if head is None or not 255 < largest <= 0xFFFF:
        return None
    size = int(head[2]), int(head[3])
    check_size(size)
    count = size[0] * size[1] * 3
    if head[1] == b"6":
        samples = np.frombuffer(content, ">u2", offset=head.end(), count=min(count, (len(content) - head.end()) // 2))
    else:
        samples = np.array(content[head.end() :].split(maxsplit=count)[:count], dtype=np.int64)
    if len(samples) < count:
        raise UnreadableImage("damaged: the file is truncated")
    if samples.size and not 0 <= samples.min() <= samples.max() <= largest:
        raise UnreadableImage(f"damaged: a sample is larger than {largest}")
    wide = samples.astype(np.int64) * 0xFFFF // largest
    return Bands(wide.astype(np.uint16).reshape(size[1], size[0], 3), 16, 3)
