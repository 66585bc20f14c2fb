"""Label files and label maps: what is written is read, and what differs by one byte is refused by name."""

import errno
import hashlib
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from helpers.signed import change_json
from regionflow.base.errors import BadFile, UserError
from regionflow.formats.labels import NO_CLUSTER, labels_of, read_label_map, read_labels, write_label_map, write_labels

SHA = "5" * 64


def labelled(path: Path) -> Path:
    cluster, distance = np.array([3, NO_CLUSTER, 0]), np.array([0.12345678, np.nan, 2.0])
    covered = {"masks": 1 / 3, "regions": 1.0}
    write_labels(path, labels_of("a", ["a_0", "a_1", "a_2"], cluster, distance, covered, regions_sha256=SHA))
    return path


def test_labels_come_back_by_region_with_six_digits(tmp_path: Path) -> None:
    labels = read_labels(labelled(tmp_path / "a.json"), "a")
    assert labels.cluster == {"a_0": 3, "a_1": -1, "a_2": 0}
    assert labels.distance == {"a_0": 0.123457, "a_1": None, "a_2": 2.0}
    assert labels.covered == {"masks": 0.333333, "regions": 1.0}
    assert (labels.image_id, labels.regions_sha256) == ("a", SHA)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("regions"),
        lambda content: content.pop("covered"),
        lambda content: content["regions"][1].pop("cluster"),
        lambda content: content["regions"][1].pop("distance"),
        lambda content: content.update(regions=3),
    ],
)
def test_a_label_file_that_misses_something_is_named(tmp_path: Path, change: Callable[[dict], Any]) -> None:
    change_json(labelled(tmp_path / "a.json"), change)
    with pytest.raises(BadFile, match=r"a\.json: not a label file of this project, or damaged"):
        read_labels(tmp_path / "a.json")


def test_labels_of_another_image_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="it is of image 'a', not of 'b'"):
        read_labels(labelled(tmp_path / "a.json"), "b")


@given(hnp.arrays(np.int64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 2**24 - 1)))
def test_every_label_comes_back_as_it_is_coded_for_other_programs(
    tmp_path_factory: pytest.TempPathFactory, labels: NDArray[np.int64]
) -> None:
    path = tmp_path_factory.mktemp("map") / "a.png"
    write_label_map(path, labels, "a")
    back = read_label_map(path, "a", labels.shape)
    assert (back == labels).all() and back.dtype == np.int64
    with Image.open(path) as image:
        pixels = np.asarray(image).astype(np.int64)
    coded = pixels if labels.max() < 2**16 else pixels[..., 0] + 256 * pixels[..., 1] + 65_536 * pixels[..., 2]
    assert (coded == labels).all()


@pytest.mark.parametrize(("highest", "mode"), [(0, "I;16"), (65_535, "I;16"), (65_536, "RGB"), (2**24 - 1, "RGB")])
def test_a_map_is_grey_where_16_bits_hold_every_label(tmp_path: Path, highest: int, mode: str) -> None:
    write_label_map(tmp_path / "a.png", np.array([[0, highest, 1]]), "a")
    assert read_label_map(tmp_path / "a.png").tolist() == [[0, highest, 1]]
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == mode


@pytest.mark.parametrize(("label", "said"), [(-1, "not -1"), (2**24, "not 16777216")])
def test_a_label_that_has_no_code_is_refused_with_its_number(tmp_path: Path, label: int, said: str) -> None:
    with pytest.raises(UserError, match=rf"a\.png: a label map holds labels from 0 to 16777215, {said}"):
        write_label_map(tmp_path / "a.png", np.array([[0, label], [5, 3]]), "a")
    assert list(tmp_path.iterdir()) == []


def test_an_unreadable_image_has_a_map_of_one_zero_and_no_size(tmp_path: Path) -> None:
    write_label_map(tmp_path / "a.png", np.zeros((0, 0), np.int64), "a")
    assert read_label_map(tmp_path / "a.png", "a", (0, 0)).tolist() == [[0]]
    with Image.open(tmp_path / "a.png") as image:
        assert (image.size, image.mode) == ((1, 1), "I;16")


def test_a_map_of_another_image_or_size_is_refused(tmp_path: Path) -> None:
    write_label_map(tmp_path / "a.png", np.ones((2, 3), np.int64), "a")
    with pytest.raises(BadFile, match="it is of image 'a', not of 'b'"):
        read_label_map(tmp_path / "a.png", "b")
    with pytest.raises(BadFile, match=r"a\.png: it has 2 x 3 pixels, its image 3 x 2; delete it"):
        read_label_map(tmp_path / "a.png", "a", (3, 2))


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def png(parts: list[tuple[bytes, bytes]]) -> bytes:
    joined = b"\x89PNG\r\n\x1a\n"
    for kind, content in parts:
        joined += struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    return joined


def crc_of(kind: bytes) -> Callable[[bytes], bytes]:
    """Changes the CRC of the first chunk of a kind."""

    def change(data: bytes) -> bytes:
        at = data.index(kind)
        end = at + 4 + struct.unpack_from(">I", data, at - 4)[0]
        return data[:end] + bytes([data[end] ^ 1]) + data[end + 1 :]

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: b"", "it is empty"),
        (lambda data: b"hello", "it does not begin as a PNG file"),
        (lambda data: data[1:], "it does not begin as a PNG file"),
        (lambda data: data[:8], "it is cut off"),
        (lambda data: data[:19], "it is cut off"),
        (lambda data: data[:-12], "it is cut off"),
        (lambda data: data[:-1], "it is cut off"),
        (lambda data: data[:-13], r"a chunk at byte \d+ does not have its checksum"),
        (lambda data: data[:20], "a chunk at byte 8 does not have its checksum"),
        (crc_of(b"IHDR"), "a chunk at byte 8 does not have its checksum"),
        (crc_of(b"tEXt"), "a chunk at byte 33 does not have its checksum"),
        (crc_of(b"IDAT"), r"a chunk at byte \d+ does not have its checksum"),
        (crc_of(b"IEND"), r"a chunk at byte \d+ does not have its checksum"),
        (lambda data: data + b"\0", "something follows its end"),
        (lambda data: png([c for c in chunks(data) if c[0] != b"tEXt"]), "it has no checksum"),
    ],
)
def test_other_bytes_are_refused_by_name(tmp_path: Path, change: Callable[[bytes], bytes], said: str) -> None:
    path = tmp_path / "a.png"
    write_label_map(path, np.arange(6).reshape(2, 3), "a")
    data = path.read_bytes()
    assert png(chunks(data)) == data
    path.write_bytes(change(data))
    with pytest.raises(BadFile, match=rf"a\.png: not a label map of this project, or damaged \({said}") as error:
        read_label_map(path, "a")
    assert error.value.unsound


def test_chunks_of_any_content_and_none_pass(tmp_path: Path) -> None:
    """Programs that keep the text may add chunks of their own, empty ones too."""
    path = tmp_path / "a.png"
    write_label_map(path, np.arange(6).reshape(2, 3), "a")
    head, *others = chunks(path.read_bytes())
    path.write_bytes(png([head, (b"prVt", b""), (b"prVt", bytes(70_000)), *others]))
    assert read_label_map(path, "a").tolist() == [[0, 1, 2], [3, 4, 5]]


def with_text(path: Path, pixels: NDArray[Any], **about: Any) -> None:
    """A PNG of these pixels that says these things of itself."""
    digest = hashlib.sha256(f"{pixels.dtype.kind}{pixels.itemsize}{pixels.shape}".encode() + pixels.tobytes())
    info = PngInfo()
    known = {"image_id": "a", "height": len(pixels), "width": len(pixels[0]), "sha256": digest.hexdigest()}
    info.add_text("regionflow", json.dumps({key: value for key, value in (known | about).items() if value is not None}))
    Image.fromarray(pixels).save(path, pnginfo=info)


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"sha256": SHA}, "its pixels do not have their checksum"),
        ({"sha256": None}, "'sha256'"),
        ({"image_id": None}, "'image_id'"),
        ({"width": None}, "'width'"),
        ({"height": "tall"}, "invalid literal"),
    ],
)
def test_a_map_that_says_of_itself_what_is_not_so_is_refused(tmp_path: Path, about: dict[str, Any], said: str) -> None:
    with_text(tmp_path / "a.png", np.ones((2, 3), np.uint8))
    assert read_label_map(tmp_path / "a.png", "a", (2, 3)).tolist() == [[1] * 3] * 2
    with_text(tmp_path / "a.png", np.ones((2, 3), np.uint8), **about)
    with pytest.raises(BadFile, match=rf"a\.png: not a label map .*{said}"):
        read_label_map(tmp_path / "a.png", "a")


@pytest.mark.parametrize("channels", [2, 4])
def test_a_map_of_other_channels_than_one_or_three_is_refused(tmp_path: Path, channels: int) -> None:
    with_text(tmp_path / "a.png", np.ones((2, 3, channels), np.uint8))
    with pytest.raises(BadFile, match=rf"a\.png: not a label map .*it has {channels} channels"):
        read_label_map(tmp_path / "a.png")


def test_what_the_system_says_is_not_called_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadFile, match=r"none\.png: no such file") as error:
        read_label_map(tmp_path / "none.png")
    assert not error.value.unsound
    write_label_map(tmp_path / "a.png", np.ones((2, 3), np.int64), "a")
    for number, unsound in ((errno.EIO, False), (None, True)):  # Pillow's own errors have no number

        def fail(*_: Any, number: int | None = number, **__: Any) -> None:
            raise OSError(number, "x") if number else OSError("broken data stream")

        monkeypatch.setattr(Image, "open", fail)
        with pytest.raises(BadFile, match=r"a\.png") as error:
            read_label_map(tmp_path / "a.png")
        assert error.value.unsound == unsound
