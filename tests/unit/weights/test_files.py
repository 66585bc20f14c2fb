"""Published weights come from the registry's address, resumed, checked, under a final name only when whole."""

import hashlib
import importlib.util
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from regionflow.base.errors import UserError
from regionflow.masks.options import SamOptions
from regionflow.run.job import Job
from regionflow.weights.files import identity
from regionflow.weights.published import PUBLISHED, Checkpoint

CONTENT = bytes(range(256)) * 40
ADAPTER = Path(__file__).parents[3] / "workflow/scripts/weights.py"


@pytest.fixture
def server():
    """A loopback server that breaks off its first answer half-way and knows ranges."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            start = int(self.headers.get("Range", "bytes=0-")[6:-1])
            asked.append(start)
            self.send_response(206 if start else 200)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(len(CONTENT) - start))
            self.end_headers()
            self.wfile.write(CONTENT[start : len(CONTENT) // 2] if len(asked) == 1 else CONTENT[start:])

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as found:
        threading.Thread(target=found.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{found.server_port}/x.pth", asked
        found.shutdown()


def run_stage(monkeypatch, folder, url, sha256):
    monkeypatch.setitem(PUBLISHED, "x.pth", Checkpoint("vit_b", "x.pth", url, sha256))
    spec = importlib.util.spec_from_file_location("adapter", ADAPTER)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    draft = folder / f".x.{len(list(folder.iterdir()))}.tmp.pth"
    module.run(Job("weights", {}, {"weights": draft}, {}, names={"weights": "x.pth"}))
    return draft


def test_a_second_try_asks_for_the_rest_only(monkeypatch, tmp_path, server):
    url, asked = server
    digest = hashlib.sha256(CONTENT).hexdigest()
    with pytest.raises(UserError, match="Run again to resume"):
        run_stage(monkeypatch, tmp_path, url, digest)
    assert run_stage(monkeypatch, tmp_path, url, digest).read_bytes() == CONTENT
    assert asked == [0, len(CONTENT) // 2]


def test_another_file_than_published_is_refused(monkeypatch, tmp_path, server):
    url, asked = server
    asked.append(0)
    with pytest.raises(UserError, match="gave a file with sha256"):
        run_stage(monkeypatch, tmp_path, url, "0" * 64)
    assert list(tmp_path.iterdir()) == []


def test_identity_is_the_published_hash_before_the_download_and_the_files_after(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    digest = hashlib.sha256(CONTENT).hexdigest()
    monkeypatch.setitem(PUBLISHED, "x.pth", Checkpoint("vit_b", "x.pth", "http://nowhere", digest))
    options = SamOptions(checkpoint="weights/x.pth")
    assert identity(options) == digest
    Path("weights").mkdir()
    Path("weights/x.pth").write_bytes(CONTENT)
    assert identity(options) == digest
    Path("weights/x.pth").write_bytes(CONTENT + b"more")
    assert identity(options) != digest
    assert identity(SamOptions(checkpoint="elsewhere/x.pth")) is None
