"""Image files of every format with metadata in them, and seeded damage to them."""

import io
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import tifffile
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from skimage import data

Rng = np.random.Generator


def photo(height: int = 40, width: int = 56) -> np.ndarray:
    """A cut of a photo, uint8 [H, W, 3]."""
    return np.ascontiguousarray(data.coffee()[100 : 100 + height, 200 : 200 + width])


def exif(orientation: int = 1) -> bytes:
    """A block of several tags, a rational and a sub-directory among them; orientation 0: without that tag."""
    block = Image.Exif()
    if orientation:
        block[0x0112] = orientation
    block[0x010F], block[0x0131] = "maker" * 5, "software"
    block[0x011A], block[0x0132] = 72.0, "2026:01:02 03:04:05"
    block.get_ifd(0x8769)[0x9003] = "2026:01:02 03:04:05"
    block.get_ifd(0x8769)[0x829A] = 0.01
    return block.tobytes()


XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="1" xmp:Rating="3"/></x:xmpmeta>'
ICC = bytes(range(256)) * 12


def _pillow(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _tiff(*pages: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tags = [(700, "B", len(XMP), XMP, True), (34675, "B", len(ICC), ICC, True), (315, "s", 0, "an artist", True)]
    with tifffile.TiffWriter(buffer) as file:
        for index, page in enumerate(pages):
            reduced = {"subfiletype": 1} if index else {"extratags": tags}
            file.write(page, description="a photo", software="tests", metadata=None, **reduced, **options)
    return buffer.getvalue()


def samples() -> dict[str, bytes]:
    """A file of every kind that the reader reads, by name."""
    rgb = photo()
    image, wide = Image.fromarray(rgb), rgb.astype(np.uint16) * 257
    rgba = np.dstack([rgb, np.where(rgb[..., 0] > 90, 255, 0).astype(np.uint8)])
    text = PngInfo()
    text.add_text("comment", "words " * 50, zip=True)
    text.add_itxt("XML:com.adobe.xmp", XMP.decode())
    meta = {"exif": exif(), "icc_profile": ICC}
    return {
        "jpeg": _pillow(image, "JPEG", quality=92, comment=b"words", xmp=XMP, **meta),
        "jpeg_progressive": _pillow(image, "JPEG", progressive=True, **meta),
        "jpeg_cmyk": _pillow(image.convert("CMYK"), "JPEG", **meta),
        "png": _pillow(image, "PNG", pnginfo=text, dpi=(72, 72), **meta),
        "png_palette": _pillow(image.convert("P"), "PNG", transparency=3, pnginfo=text, **meta),
        "png_grey16": _pillow(Image.fromarray(wide[..., 0].copy()), "PNG", pnginfo=text),
        "webp": _pillow(image, "WEBP", lossless=True, xmp=XMP, **meta),
        "webp_lossy": _pillow(Image.fromarray(rgba), "WEBP", **meta),
        "avif": _pillow(image, "AVIF", quality=80, xmp=XMP, **meta),
        "bmp": _pillow(image, "BMP"),
        "gif": _pillow(image, "GIF", comment=b"words"),
        "ppm": _pillow(image, "PPM"),
        "jpeg2000": _pillow(image, "JPEG2000"),
        "tiff": _tiff(rgb, photometric="rgb"),
        "tiff_lzw_tiles": _tiff(rgb, photometric="rgb", compression="lzw", tile=(16, 32), predictor=True),
        "tiff_deflate_planar16": _tiff(
            wide.transpose(2, 0, 1), photometric="rgb", planarconfig="separate", compression="zlib", rowsperstrip=7
        ),
        "tiff_jpeg": _tiff(rgb, photometric="rgb", compression="jpeg", tile=(16, 16)),
        "tiff_white_is_zero": _tiff(rgb[..., 0], photometric="miniswhite", compression="packbits"),
        "tiff_overview": _tiff(rgb, rgb[::2, ::2].copy(), photometric="rgb", tile=(32, 32), compression="zlib"),
        "tiff_pillow_lzw": _pillow(image, "TIFF", compression="tiff_lzw", icc_profile=ICC),
        "tiff_g4": _pillow(image.convert("1"), "TIFF", compression="group4"),
    }


def damaged(content: bytes, rng: Rng) -> bytes:
    """One to four random changes: bits, bytes, holes, insertions, copies, a cut."""
    changed = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        kind, at = int(rng.integers(0, 7)), _place(rng, len(changed))
        length = int(rng.integers(1, 9))
        if kind == 0:
            changed[at] ^= 1 << int(rng.integers(0, 8))
        elif kind == 1:
            changed[at] = int(rng.integers(0, 256))
        elif kind == 2:
            changed[at : at + length] = rng.integers(0, 256, length, dtype=np.uint8).tobytes()
        elif kind == 3:
            del changed[at : at + length]
        elif kind == 4:
            changed[at:at] = rng.integers(0, 256, length, dtype=np.uint8).tobytes()
        elif kind == 5:
            changed[at : at + 4] = [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\0\0\xff\xff"][length % 4]
        elif rng.random() < 0.3:
            del changed[at:]
        changed = changed or bytearray(b"\0")
    return bytes(changed)


def _place(rng: Rng, size: int) -> int:
    """Anywhere, but half of the time in the first 512 bytes, where headers are."""
    return int(rng.integers(0, min(size, 512) if rng.random() < 0.5 else size))


# ---- metadata only: files that hold a block of metadata, whatever is in it


def _jpeg_with(pixels: bytes, marker: int, block: bytes) -> bytes:
    return pixels[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(block) + 2) + block + pixels[2:]


def _png_with(pixels: bytes, kind: bytes, block: bytes, check: int | None = None) -> bytes:
    crc = zlib.crc32(kind + block) if check is None else check
    return pixels[:33] + struct.pack(">I", len(block)) + kind + block + struct.pack(">I", crc) + pixels[33:]


def _webp_with(pixels: bytes, kind: bytes, block: bytes, size: tuple[int, int]) -> bytes:
    flags = {b"EXIF": 8, b"XMP ": 4, b"ICCP": 32}[kind]
    header = struct.pack("<4sI", b"VP8X", 10) + bytes([flags, 0, 0, 0])
    header += struct.pack("<I", size[0] - 1)[:3] + struct.pack("<I", size[1] - 1)[:3]
    chunk = kind + struct.pack("<I", len(block)) + block + b"\0" * (len(block) % 2)
    inner = pixels[12:]
    body = header + (chunk + inner if kind == b"ICCP" else inner + chunk)
    return b"RIFF" + struct.pack("<I", len(body) + 4) + b"WEBP" + body


def _tiff_with(pixels: np.ndarray, tag: int, kind: str, block: bytes) -> bytes:
    buffer = io.BytesIO()
    options = {"photometric": "rgb", "compression": "zlib", "metadata": None}
    tifffile.imwrite(buffer, pixels, extratags=[(tag, kind, len(block), block, True)], **options)
    return buffer.getvalue()


def with_metadata(rng: Rng, count: int) -> Iterator[tuple[str, bytes, np.ndarray]]:
    """Files whose metadata are damaged and whose pixels are not: name, content and the pixels as stored."""
    rgb = photo(24, 32)
    jpeg, png = _pillow(Image.fromarray(rgb), "JPEG"), _pillow(Image.fromarray(rgb), "PNG")
    webp = _pillow(Image.fromarray(rgb), "WEBP", lossless=True)
    decoded = np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))
    marked = exif(0)
    avif = _pillow(Image.fromarray(rgb), "AVIF", quality=80, exif=marked)
    decoded_avif = np.asarray(Image.open(io.BytesIO(avif)).convert("RGB"))
    tiff_block = marked[6:]
    assert avif.count(tiff_block) == 1
    block: dict[str, Callable[[], bytes]] = {
        "exif": lambda: damaged(exif(int(rng.integers(1, 9))), rng),
        "xmp": lambda: damaged(XMP, rng),
        "icc": lambda: damaged(ICC, rng),
        "noise": lambda: rng.integers(0, 256, int(rng.integers(0, 300)), dtype=np.uint8).tobytes(),
    }
    for _ in range(count):
        name = str(rng.choice(list(block)))
        made = block[name]()
        kind = int(rng.integers(0, 5))
        if kind == 4:
            same_size = damaged(tiff_block, rng)[: len(tiff_block)].ljust(len(tiff_block), b"\0")
            yield "avif exif", avif.replace(tiff_block, same_size), decoded_avif
        elif kind == 0:
            marker = int(rng.choice([0xE1, 0xE1, 0xE2, 0xED, 0xFE, 0xE5, 0xE0]))
            yield f"jpeg {name} {marker:x}", _jpeg_with(jpeg, marker, made), decoded
        elif kind == 1:
            chunk = [b"eXIf", b"iTXt", b"zTXt", b"tEXt", b"iCCP", b"gAMA", b"cHRM", b"pHYs", b"sRGB", b"tIME", b"abCd"]
            check = None if rng.random() < 0.7 else int(rng.integers(0, 2**32))
            which = chunk[int(rng.integers(0, len(chunk)))]
            yield f"png {name} {which!r}", _png_with(png, which, made, check), rgb
        elif kind == 2:
            which = [b"EXIF", b"XMP ", b"ICCP"][int(rng.integers(0, 3))]
            yield f"webp {name} {which!r}", _webp_with(webp, which, made, (32, 24)), rgb
        else:
            tags = [(700, "B"), (34675, "B"), (315, "s"), (34665, "I"), (34853, "I"), (37724, "B"), (33723, "B"),
                    (42112, "s"), (34412, "B"), (33628, "I"), (50839, "B"), (65420, "B"), (34118, "B")]  # fmt: skip
            tag, letter = tags[int(rng.integers(0, len(tags)))]
            made = made[: len(made) // 4 * 4] or b"\0\0\0\0"
            value = np.frombuffer(made, np.uint32) if letter == "I" else made
            yield f"tiff {name} {tag}", _tiff_with(rgb, tag, letter, value), rgb
