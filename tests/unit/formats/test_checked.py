"""JSON files with a checksum: what is read is exactly what was written, or an error that names the file."""

import gzip
import hashlib
import json
from pathlib import Path

import pytest

from regionflow.base.errors import BadFile
from regionflow.formats.checked import check_owner, read_checked_json, write_checked_json

CONTENT = {"image_id": "sub/ä", "regions": [1, 2.5, None, True], "b": {"a": ""}}


@pytest.fixture(params=[False, True], ids=["plain", "gzip"])
def written(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    write_checked_json(tmp_path / "a.json", CONTENT, compressed=request.param)
    return tmp_path / "a.json"


def plain(path: Path) -> bytes:
    data = path.read_bytes()
    return gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data


def put(path: Path, data: bytes) -> None:
    """Other content, as a gzip file where it was one."""
    path.write_bytes(gzip.compress(data) if path.read_bytes()[:2] == b"\x1f\x8b" else data)


def test_what_is_written_is_read_with_its_checksum(written: Path) -> None:
    content, digest = read_checked_json(written, "a file")
    assert content == CONTENT
    rest = plain(written).decode().replace(f'"sha256":"{digest}",', "", 1).removesuffix("\n")
    assert json.loads(rest) == CONTENT
    assert digest == hashlib.sha256(rest.encode()).hexdigest()


def test_a_file_is_one_line_of_json_for_any_program(tmp_path: Path) -> None:
    digest = write_checked_json(tmp_path / "a.json", CONTENT)
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert text.endswith("}\n") and text.count("\n") == 1
    assert json.loads(text) == {"sha256": digest, **CONTENT}
    assert read_checked_json(tmp_path / "a.json", "a file")[1] == digest


def test_equal_content_gives_equal_bytes(tmp_path: Path) -> None:
    for name, content in (("a", CONTENT), ("b", dict(reversed(CONTENT.items())))):
        for compressed in (False, True):
            write_checked_json(tmp_path / f"{name}{compressed}", content, compressed)
    for compressed in (False, True):
        assert (tmp_path / f"a{compressed}").read_bytes() == (tmp_path / f"b{compressed}").read_bytes()
    assert (tmp_path / "aTrue").read_bytes()[4:8] == bytes(4)  # gzip's time of day


def test_other_bytes_are_refused_by_name(written: Path) -> None:
    whole = plain(written)
    for other in (
        whole.replace(b"2.5", b"2.6"),
        whole[:-1],
        whole + b"\n",
        whole + b" ",
        whole[:-2] + b"\n",
        whole.replace(b'{"sha256":"', b'{"sha256":"0', 1)[:-1],
    ):
        put(written, other)
        with pytest.raises(BadFile, match=r"a\.json: not a file of this project, or damaged .*delete it") as error:
            read_checked_json(written, "a file")
        assert error.value.unsound


def test_a_file_without_checksum_is_told_apart_from_a_changed_one(written: Path) -> None:
    put(written, json.dumps(CONTENT).encode() + b"\n")
    with pytest.raises(BadFile, match="it has no checksum"):
        read_checked_json(written, "a file")
    put(written, b"")
    with pytest.raises(BadFile, match="it has no checksum"):
        read_checked_json(written, "a file")


def test_a_cut_or_changed_gzip_file_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_checked_json(path, CONTENT, compressed=True)
    whole = path.read_bytes()
    for other in (whole[:-4], whole[:20], whole[:2], whole[:30] + bytes([whole[30] ^ 1]) + whole[31:], whole + b"x"):
        path.write_bytes(other)
        with pytest.raises(BadFile, match=r"a\.json: not a file of this project, or damaged"):
            read_checked_json(path, "a file")


@pytest.mark.parametrize("text", ['{"a":nonsense}', '{"a":' + 50_000 * "[" + "}"])
def test_what_is_signed_but_no_json_is_refused_by_name(tmp_path: Path, text: str) -> None:
    digest = hashlib.sha256(text.encode()).hexdigest()
    (tmp_path / "a.json").write_text(f'{{"sha256":"{digest}",{text[1:]}\n')
    with pytest.raises(BadFile, match=r"a\.json: not a file of this project, or damaged"):
        read_checked_json(tmp_path / "a.json", "a file")


def test_a_missing_file_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match=r"none\.json: no such file") as error:
        read_checked_json(tmp_path / "none.json", "a file")
    assert not error.value.unsound


def test_a_file_belongs_to_the_image_that_is_asked_for() -> None:
    check_owner(Path("a.json"), "a", "a")
    check_owner(Path("a.json"), "a", None)
    with pytest.raises(BadFile, match=r"a\.json: it is of image 'b', not of 'a'; delete it and run again") as error:
        check_owner(Path("a.json"), "b", "a")
    assert error.value.unsound
    with pytest.raises(BadFile, match="of image 'b', not of ''"):
        check_owner(Path("a.json"), "b", "")
