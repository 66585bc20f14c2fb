"""A TIFF file as if it held no tags but those that its pixels depend on.

Camera, geography, vendor and text tags never reach the decoder, so that nothing in them can stop it or change what it
reads: in memory their entries are given a private code and one byte of content. The file stays as it is.
"""

import io
import struct
from bisect import bisect_right
from typing import BinaryIO

# What it is and where its data lie; description (ImageJ stacks); T4, T6 and LERC options; JPEG; chroma; depth.
_NEEDED = {
    *(254, 255, 256, 257, 258, 259, 262, 266, 270, 273, 274, 277, 278, 279, 284, 317, 320, 322, 323, 324, 325),
    *(292, 293, 50674, 332, 334, 338, 339, 347, *range(512, 522), 529, 530, 531, 532, 32997, 32998),
}  # fmt: skip
_PRIVATE = 60_000
_MAX_DIRECTORIES = 10_000
_MAX_TAGS = 4096


def only_pixel_tags(file: BinaryIO) -> BinaryIO:
    """The file with all other tags hidden, read through to the file; damaged directories stay as they are."""
    return io.BufferedReader(_Patched(file, _hidden(file)))


def _hidden(file: BinaryIO) -> dict[int, bytes]:
    """Entries of every directory as they should read, by their offset."""
    head = file.read(16)
    order = "<" if head[:2] == b"II" else ">"
    big = head[2:4] in (b"+\0", b"\0+")
    offset, count, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
    one_byte = struct.pack(order + ("HHQ" if big else "HHI"), 0, 1, 1)[2:]
    blocks: dict[int, bytes] = {}
    try:
        (at,) = struct.unpack_from(order + offset, head, 8 if big else 4)
        while at and at not in blocks and len(blocks) < _MAX_DIRECTORIES:
            file.seek(at)
            start = at + struct.calcsize(count)
            (tags,) = struct.unpack(order + count, file.read(start - at))
            if tags > _MAX_TAGS:
                break
            entries = bytearray(file.read(tags * entry))
            for index in range(len(entries) // entry):
                begin = index * entry
                if struct.unpack_from(order + "H", entries, begin)[0] not in _NEEDED:
                    code = struct.pack(order + "H", _PRIVATE + index)
                    entries[begin : begin + 2 + len(one_byte)] = code + one_byte
            blocks[at] = bytes(entries)
            (at,) = struct.unpack(order + offset, file.read(struct.calcsize(offset)))
    except struct.error:
        pass  # a chain that ends in nothing
    return {at + struct.calcsize(count): entries for at, entries in blocks.items()}


class _Patched(io.RawIOBase):
    """A file with other bytes in some places."""

    def __init__(self, file: BinaryIO, blocks: dict[int, bytes]) -> None:
        self._file, self._blocks, self._starts = file, blocks, sorted(blocks)
        self._longest = max(map(len, blocks.values()), default=0)
        self.name = getattr(file, "name", "")
        file.seek(0)

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        begin = self._file.tell()
        size: int = self._file.readinto(buffer)  # type: ignore[attr-defined]
        end = begin + size
        index = bisect_right(self._starts, begin - self._longest)
        while index < len(self._starts) and (start := self._starts[index]) < end:
            block = self._blocks[start]
            first, last = max(start, begin), min(start + len(block), end)
            if first < last:
                buffer[first - begin : last - begin] = block[first - start : last - start]
            index += 1
        return size
