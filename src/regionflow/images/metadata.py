"""Orientation, and files without any other metadata: what no pixel depends on never reaches a decoder.

A decoder that parses text, colour profiles, previews or camera tags can fail on them while the pixels are intact.
`bare_jpeg` and `bare_png` copy what the pixels depend on and nothing else; `exif_orientation` reads one tag by itself.
Colour profiles and gamma are not applied.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from regionflow.images.errors import UnreadableImage

PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_ORIENTATION = 0x0112
_XMP_ORIENTATION = re.compile(rb'tiff:Orientation\s*(?:=\s*["\']|>)\s*([1-8])\b')
# An item's entry in a HEIF or AVIF file: box, version and flags, number, protection, type.
_EXIF_ITEM = re.compile(rb"(infe(?:\x02.{3}.{4}|\x03.{3}.{6}))Exif", re.DOTALL)
_MAX_TEXT = 1 << 20
_OUR_LABELS = b"regionflow\0"
_JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"


class Bare(NamedTuple):
    """An image file without metadata, its orientation (1-8 by EXIF or XMP, 0: ask Pillow), its number of frames."""

    content: bytes
    orientation: int
    frames: int = 1


def exif_orientation(exif: bytes) -> int:
    """Tag 274 of an EXIF block's first directory, 1-8, or 1. Other tags are not looked at."""
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None or len(tiff) < 10:
        return 1
    (start,) = struct.unpack_from(order + "I", tiff, 4)
    if start + 2 > len(tiff):
        return 1
    (count,) = struct.unpack_from(order + "H", tiff, start)
    for at in range(start + 2, min(start + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind, length = struct.unpack_from(order + "HHI", tiff, at)
        if tag == _ORIENTATION:
            formats = {1: "B", 3: "H", 4: "I"}
            if length != 1 or kind not in formats:
                return 1
            (value,) = struct.unpack_from(order + formats[kind], tiff, at + 8)
            return value if 1 <= value <= 8 else 1
    return 1


def xmp_orientation(xmp: bytes) -> int:
    """tiff:Orientation of an XMP packet, 1-8, or 1."""
    match = _XMP_ORIENTATION.search(xmp)
    return int(match[1]) if match else 1


def bare_jpeg(content: bytes) -> Bare:
    """A JPEG without comments and application segments, but for those that say how colours are coded.

    JFIF is replaced by one of ours (without preview and resolution), Adobe's is kept. Further images behind the first,
    as phones store previews and gain maps (MPO), are no frames of their own.
    """
    kept = [b"\xff\xd8"]
    exif, xmp, at = b"", b"", 2
    while at + 4 <= len(content):
        if content[at] != 0xFF or content[at + 1] in (0x00, 0xFF):
            at += 1
            continue
        marker = content[at + 1]
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # they have no length
            at += 2
            continue
        if marker in (0xD9, 0xDA):
            break
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4])
        segment = content[at:end]
        if marker == 0xE1 and segment[4:].startswith(b"Exif\0\0"):
            exif = exif or segment[4:]
        elif marker == 0xE1 and segment[4:].startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            xmp = xmp or segment[4:]
        elif marker == 0xE0:
            if segment[4:].startswith(b"JFIF\0") and len(segment) >= 16:
                kept.append(_JFIF)
        elif not (0xE1 <= marker <= 0xED or marker in (0xEF, 0xFE)):
            kept.append(segment)
        at = end
    kept.append(content[at:])
    orientation = exif_orientation(exif)
    return Bare(b"".join(kept), orientation if orientation != 1 else xmp_orientation(xmp))


def bare_png(content: bytes) -> Bare:
    """A PNG of the chunks that its pixels depend on, the checksum of each verified.

    Raises UnreadableImage where one of these is damaged; the others are not looked at, but for the orientation.
    """
    kept = [PNG_SIGNATURE]
    exif, xmp, frames, ended = b"", b"", 1, False
    for kind, data, intact in _png_chunks(content):
        if kind in _PNG_KEPT or kind[:1].isupper():
            if not intact:
                raise UnreadableImage(f"damaged: the checksum of its {kind.decode('latin-1')} chunk does not match")
            if kind not in _PNG_KEPT:
                raise UnreadableImage(f"damaged: unknown critical chunk {kind!r}")
            kept.append(_png_chunk(kind, data))
            ended = kind == b"IEND"
        elif kind == b"acTL" and intact and len(data) == 8:
            frames = int.from_bytes(data[:4])
        elif kind == b"tEXt" and data.startswith(_OUR_LABELS):
            raise UnreadableImage("a label map that regionflow has made, not a photo; move it out of the set")
        elif kind == b"eXIf":
            exif = exif or data
        elif kind == b"iTXt" and data.startswith(b"XML:com.adobe.xmp\0\0"):
            xmp = xmp or data
        elif kind == b"zTXt" and data.startswith(b"Raw profile type exif\0\0"):
            exif = exif or _raw_profile(data[23:])
    if not ended:
        raise UnreadableImage("damaged: the file is truncated")
    orientation = exif_orientation(exif)
    return Bare(b"".join(kept), orientation if orientation != 1 else xmp_orientation(xmp), frames)


def bare_heif(content: bytes) -> Bare:
    """A HEIF or AVIF file whose EXIF item has a type that nobody reads; its orientation is in boxes of the image."""
    return Bare(_EXIF_ITEM.sub(rb"\1skip", content), 0)


def without_transparency(png: bytes) -> bytes:
    """A bare PNG without its tRNS chunk."""
    chunks = (_png_chunk(kind, data) for kind, data, _ in _png_chunks(png) if kind != b"tRNS")
    return PNG_SIGNATURE + b"".join(chunks)


def _png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes, bool]]:
    """Type, data and whether the checksum matches, of every complete chunk up to IEND."""
    at, kind = len(PNG_SIGNATURE), b""
    while at + 12 <= len(content) and kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 8 + length
        if end + 4 > len(content):
            return
        data = content[at + 8 : end]
        needed = kind in _PNG_KEPT or kind[:1].isupper() or kind == b"acTL"
        yield kind, data, not needed or zlib.crc32(kind + data) == int.from_bytes(content[end : end + 4])
        at = end + 4


def _raw_profile(packed: bytes) -> bytes:
    """The EXIF block that ImageMagick stores in a PNG as compressed hex text; empty where it is damaged."""
    try:
        text = zlib.decompressobj().decompress(packed, _MAX_TEXT)
        return bytes.fromhex(b"".join(text.split(b"\n")[3:]).decode("ascii"))
    except (zlib.error, ValueError):
        return b""
