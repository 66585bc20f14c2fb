"""Downloads against a server on the loopback interface."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from regionflow.sam.architecture import MODELS
from regionflow.weights.download import DownloadError, download
from regionflow.weights.published import CHECKPOINTS

CONTENT = bytes(range(256)) * 5000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves CONTENT: /file with ranges, /plain without, /half breaks off, /page is HTML."""

    seen: list[str | None] = []

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.seen.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.path != "/plain" else 0
        if self.path == "/none":
            self.send_error(404)
        elif start >= len(CONTENT):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(CONTENT)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", "text/html" if self.path == "/page" else "application/octet-stream")
            self.send_header("Content-Length", str(len(CONTENT) - start))
            self.end_headers()
            self.wfile.write(CONTENT[start : start + 1000] if self.path == "/half" else CONTENT[start:])

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    Handler.seen.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def test_whole_file(server: str, tmp_path: Path) -> None:
    target = tmp_path / "new" / "weights.pth"
    seen: list[tuple[int, int | None]] = []
    assert download(server + "/file", target, SHA256, progress=lambda *progress: seen.append(progress)) == SHA256
    assert target.read_bytes() == CONTENT
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert list(target.parent.iterdir()) == [target]


def test_broken_download_is_resumed(server: str, tmp_path: Path) -> None:
    target = tmp_path / "weights.pth"
    with pytest.raises(DownloadError, match=r"broke off after 1000 bytes.*Run again to resume"):
        download(server + "/half", target, SHA256)
    assert not target.exists()
    download(server + "/file", target, SHA256)
    assert Handler.seen == [None, "bytes=1000-"]
    assert target.read_bytes() == CONTENT


def test_server_without_ranges_starts_again(server: str, tmp_path: Path) -> None:
    (tmp_path / "weights.pth.part").write_bytes(b"x" * 10)
    download(server + "/plain", tmp_path / "weights.pth", SHA256)
    assert (tmp_path / "weights.pth").read_bytes() == CONTENT


def test_part_that_was_whole_already(server: str, tmp_path: Path) -> None:
    (tmp_path / "weights.pth.part").write_bytes(CONTENT)
    download(server + "/file", tmp_path / "weights.pth", SHA256)
    assert (tmp_path / "weights.pth").read_bytes() == CONTENT


def test_part_longer_than_the_file_is_dropped(server: str, tmp_path: Path) -> None:
    (tmp_path / "weights.pth.part").write_bytes(CONTENT + b"x")
    with pytest.raises(DownloadError, match="416"):
        download(server + "/file", tmp_path / "weights.pth", SHA256)
    download(server + "/file", tmp_path / "weights.pth", SHA256)


def test_wrong_hash_leaves_the_old_file(server: str, tmp_path: Path) -> None:
    target = tmp_path / "weights.pth"
    target.write_bytes(b"old")
    with pytest.raises(DownloadError, match=f"sha256 {SHA256}, not 00"):
        download(server + "/file", target, "00")
    assert target.read_bytes() == b"old"
    assert not (tmp_path / "weights.pth.part").exists()


@pytest.mark.parametrize(("page", "said"), [("/page", "an HTML page"), ("/none", "404")])
def test_no_file_at_the_address(server: str, tmp_path: Path, page: str, said: str) -> None:
    with pytest.raises(DownloadError, match=said):
        download(server + page, tmp_path / "weights.pth")
    assert list(tmp_path.iterdir()) == []


def test_no_server(tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="broke off after 0 bytes"):
        download("http://127.0.0.1:9/file", tmp_path / "weights.pth", timeout=2)


def test_every_model_has_an_official_file() -> None:
    assert set(CHECKPOINTS) == set(MODELS) - {"sam_tiny"}  # its weights come with regionflow
    assert all(c.url.endswith("/" + c.file_name) for c in CHECKPOINTS.values())
    assert all(len(bytes.fromhex(c.sha256)) == 32 for c in CHECKPOINTS.values() if c.sha256)
