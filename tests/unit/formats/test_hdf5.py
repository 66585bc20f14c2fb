"""HDF5 files with a checksum: whole or not at all, readable by others, and every fault told as what it is."""

import errno
import fcntl
import hashlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from helpers.signed import change_hdf5
from regionflow.base.errors import BadFile
from regionflow.base.files import sha256_of
from regionflow.base.reads import noted
from regionflow.formats import hdf5
from regionflow.formats.hdf5 import (
    USER_BLOCK,
    check_hdf5,
    open_hdf5,
    read_attribute,
    read_provenance,
    stored_checksum,
    write_attribute,
    write_hdf5,
    write_strings,
)

VALUES = np.arange(12.0).reshape(3, 4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with write_hdf5(tmp_path / "a.h5", {"stage": "test"}) as file:
        file["values"] = VALUES
    return tmp_path / "a.h5"


def test_what_is_written_is_read(path: Path) -> None:
    with open_hdf5(path, "a file") as file:
        assert (file["values"][:] == VALUES).all()
        assert file.mode == "r"
    assert read_provenance(path) == {"stage": "test"}


def test_the_first_512_bytes_hold_the_hash_of_all_others(path: Path) -> None:
    data = path.read_bytes()
    digest = hashlib.sha256(data[512:]).hexdigest()
    assert data[:512] == f"regionflow sha256 {digest}\n".encode().ljust(512, b"\0")
    assert check_hdf5(path, "a file") == digest
    with h5py.File(path) as file:
        assert file.userblock_size == USER_BLOCK == 512


def test_the_stored_checksum_is_told_without_reading_the_rest(path: Path) -> None:
    digest = check_hdf5(path, "a file")
    path.write_bytes(path.read_bytes()[:-1])
    assert stored_checksum(path) == digest
    path.write_bytes(path.read_bytes()[512:])
    assert stored_checksum(path) is None


def test_a_job_notes_the_checksum_of_what_it_reads(path: Path) -> None:
    other = path.with_name("other.h5")
    other.write_bytes(path.read_bytes()[512:])
    read: dict[str, str] = {}
    with noted(read):
        digest = check_hdf5(path, "a file")
        check_hdf5(other, "a file", foreign=True)
    assert {Path(name).name: checksum for name, checksum in read.items()} == {
        "a.h5": digest,
        "other.h5": sha256_of(other),
    }


def test_files_can_be_read_by_old_programs(path: Path) -> None:
    with h5py.File(path) as file:
        assert file.libver == ("earliest", "v114") or file.libver[0] == "earliest"
        assert file["values"].id.get_create_plist().get_layout() == h5py.h5d.CONTIGUOUS
    assert path.read_bytes()[512 + 8] == 0  # version of the superblock: that of HDF5 1.0 to 1.6


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda data: data[:-1], "its content does not have its checksum"),
        (lambda data: data[:-1] + bytes([data[-1] ^ 1]), "its content does not have its checksum"),
        (lambda data: data[:511] + b"\1" + data[512:], "its content does not have its checksum"),
        (lambda data: data[:100], "its content does not have its checksum"),
        (lambda data: bytes(512) + data[512:], "it has no checksum"),
        (lambda data: data[512:], "it has no checksum"),
        (lambda data: b"", "it is empty"),
    ],
)
def test_other_bytes_are_refused_by_name_before_hdf5_sees_them(
    path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[bytes], bytes], said: str
) -> None:
    path.write_bytes(change(path.read_bytes()))
    monkeypatch.setattr(h5py, "File", None)
    for use in (check_hdf5, lambda *given: open_hdf5(*given).__enter__()):
        with pytest.raises(BadFile, match=rf"a\.h5: not a file of this project, or damaged \({said}") as error:
            use(path, "a file")
        assert error.value.unsound


def test_a_foreign_file_may_come_without_a_checksum_but_not_with_a_wrong_one(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[512:])
    with open_hdf5(path, "a file", foreign=True) as file:
        assert (file["values"][:] == VALUES).all()
    assert read_provenance(path) == {"stage": "test"}
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(BadFile, match="does not have its checksum"):
        check_hdf5(path, "a file", foreign=True)
    path.write_bytes(b"")
    with pytest.raises(BadFile, match="it is empty"):
        check_hdf5(path, "a file", foreign=True)


def test_signed_nonsense_is_called_damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:USER_BLOCK] + b"no HDF5 at all")
    hdf5.seal(path)
    with (
        pytest.raises(BadFile, match=r"a\.h5: not a file of this project, or damaged") as error,
        open_hdf5(path, "a file"),
    ):
        pass
    assert error.value.unsound


@pytest.mark.parametrize("fault", [KeyError("features"), ValueError("shape"), TypeError("kind"), AttributeError("x")])
def test_what_is_missed_in_a_file_is_called_damage(path: Path, fault: Exception) -> None:
    with (
        pytest.raises(BadFile, match=r"a\.h5: not a file of this project, or damaged") as error,
        open_hdf5(path, "a file"),
    ):
        raise fault
    assert error.value.unsound


def test_errors_of_the_system_and_of_other_files_are_told_as_they_are(path: Path) -> None:
    with (
        pytest.raises(BadFile, match=r"a\.h5: cannot be read \(Input/output error\)") as error,
        open_hdf5(path, "a file"),
    ):
        raise OSError(errno.EIO, "Input/output error")
    assert not error.value.unsound
    other = BadFile("b.h5: something")
    with pytest.raises(BadFile) as error, open_hdf5(path, "a file"):
        raise other
    assert error.value is other
    with pytest.raises(BadFile, match=r"none\.h5: no such file") as error:
        check_hdf5(path.with_name("none.h5"), "a file")
    assert not error.value.unsound


def test_a_lock_of_another_program_is_told_and_a_file_system_without_locks_is_not(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(BadFile, match=r"a\.h5: the file is locked"):
            check_hdf5(path, "a file")
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_SH)  # another reader
        check_hdf5(path, "a file")

    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    assert check_hdf5(path, "a file") == hashlib.sha256(path.read_bytes()[512:]).hexdigest()


def test_a_file_is_hashed_once_and_again_when_it_has_changed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = []
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *given: read.append(1) or digest(*given))
    first = check_hdf5(path, "a file")
    assert check_hdf5(path, "a file") == first
    assert len(read) == 1
    change_hdf5(path, lambda file: file["values"].__setitem__((0, 0), 5))
    assert check_hdf5(path, "a file") != first


def test_nothing_is_left_of_a_file_that_failed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), write_hdf5(tmp_path / "a.h5", {}) as file:
        file["values"] = VALUES
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("strings", [[], [""], ["a", "äöü", "日本"]])
def test_strings_come_back_in_any_alphabet_and_have_fixed_lengths(tmp_path: Path, strings: list[str]) -> None:
    with write_hdf5(tmp_path / "a.h5", {}) as file:
        write_strings(file, "names", strings)
    with open_hdf5(tmp_path / "a.h5", "a file") as file:
        assert list(file["names"].asstr()[:]) == strings
        kind = h5py.check_string_dtype(file["names"].dtype)
        assert kind == ("utf-8", max([1, *(len(s.encode()) for s in strings)]))


def test_attributes_are_text_of_a_fixed_length_and_none_where_there_is_none(path: Path) -> None:
    change_hdf5(path, lambda file: [write_attribute(file, name, text) for name, text in (("a", "日本"), ("b", ""))])
    change_hdf5(path, lambda file: file.attrs.__setitem__("c", "of variable length"))
    with open_hdf5(path, "a file") as file:
        read = [read_attribute(file, name) for name in "abcd"]
        assert read == ["日本", "", "of variable length", None]
        assert [file.attrs.get_id(name).dtype.itemsize for name in "ab"] == [6, 1]


def test_a_file_that_does_not_say_what_made_it_has_an_empty_provenance(path: Path) -> None:
    change_hdf5(path, lambda file: file.attrs.__delitem__("provenance"))
    assert read_provenance(path) == {}
