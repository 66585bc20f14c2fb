"""What lies at an image's path: only files are opened, and nothing makes the reader wait for ever."""

import os
import socket
import threading
import time

import numpy as np
import pytest
from PIL import Image

from helpers.damaged_images import photo
from regionflow.images import read as reader
from regionflow.images.read import UnreadableImage, read_image


def test_a_fifo_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.jpg")
    with pytest.raises(UnreadableImage, match="FIFO"):
        read_image(tmp_path / "x.jpg")


def test_folders_sockets_devices_and_links_to_nothing_are_named(tmp_path):
    (tmp_path / "x.jpg").mkdir()
    with pytest.raises(UnreadableImage, match="a folder"):
        read_image(tmp_path / "x.jpg")
    (tmp_path / "annexed.jpg").symlink_to("nowhere/object.jpg")
    with pytest.raises(UnreadableImage, match=r"link to a file that is not there: nowhere/object\.jpg"):
        read_image(tmp_path / "annexed.jpg")
    (tmp_path / "round.jpg").symlink_to("round.jpg")
    with pytest.raises(UnreadableImage, match="cannot be opened"):
        read_image(tmp_path / "round.jpg")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    with pytest.raises(UnreadableImage, match="a device"):
        read_image(tmp_path / "zero.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.jpg"))
        with pytest.raises(UnreadableImage, match="a socket"):
            read_image(tmp_path / "s.jpg")
    with pytest.raises(UnreadableImage, match="the file is gone"):
        read_image(tmp_path / "gone.jpg")
    with pytest.raises(UnreadableImage, match="cannot be opened"):
        read_image(tmp_path / ("n" * 300))


def test_a_fifo_that_takes_a_files_place_is_refused_too(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "x.jpg")
    monkeypatch.setattr("regionflow.images.files.why_not_a_file", lambda path: "")
    with pytest.raises(UnreadableImage, match="not a regular file"):
        read_image(tmp_path / "x.jpg")


def test_a_file_without_permission_is_named(tmp_path):
    path = tmp_path / "x.png"
    Image.fromarray(photo()).save(path)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(UnreadableImage, match="cannot be opened: Permission denied"):
        read_image(path)


def test_a_decoder_that_never_ends_is_given_up(tmp_path, monkeypatch):
    Image.fromarray(photo()).save(tmp_path / "x.png")
    ended = threading.Event()

    def endless(file, max_megapixels):
        try:
            while True:
                time.monotonic()
        finally:
            ended.set()

    monkeypatch.setattr(reader, "_decode", endless)
    with pytest.raises(UnreadableImage, match=r"longer than images\.max_seconds = 0\.2"):
        read_image(tmp_path / "x.png", max_seconds=0.2)
    assert ended.wait(5)  # and its thread does not go on


@pytest.mark.parametrize("error", [RuntimeError, AttributeError, RecursionError, AssertionError, ZeroDivisionError])
def test_whatever_a_decoder_raises_is_a_reason(tmp_path, monkeypatch, error):
    Image.fromarray(photo()).save(tmp_path / "x.png")

    def broken(file, max_megapixels):
        raise error("inside")

    monkeypatch.setattr(reader, "_decode", broken)
    with pytest.raises(UnreadableImage, match="damaged: inside"):
        read_image(tmp_path / "x.png")


def test_phone_files(tmp_path):
    pixels = photo(48, 64)
    image = Image.fromarray(pixels)
    image.save(tmp_path / "a.avif", quality=95)
    image.save(tmp_path / "b.jfif", "JPEG", quality=97)
    image.save(tmp_path / "noname", "JPEG", quality=97)
    for name in ("a.avif", "b.jfif", "noname"):
        assert np.abs(read_image(tmp_path / name).astype(int) - pixels).mean() < 5


def test_heic(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    pixels = photo(64, 96)
    pillow_heif.from_pillow(Image.fromarray(pixels)).save(tmp_path / "x.heic", quality=95)
    assert np.abs(read_image(tmp_path / "x.heic").astype(int) - pixels).mean() < 6


def test_heic_without_its_reader_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    (tmp_path / "x.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 100)
    with pytest.raises(UnreadableImage, match=r"pip install 'regionflow\[heif\]'"):
        read_image(tmp_path / "x.heic")
