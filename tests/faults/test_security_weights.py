"""Downloads and checkpoints: no other protocol after a redirect, no more bytes than the file can have, no NaN."""

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request

import pytest
import torch
from safetensors.torch import save_file

from regionflow.weights.checkpoint import CheckpointError, load_state_dict
from regionflow.weights.download import DownloadError, _SameScheme, download
from regionflow.weights.published import CHECKPOINTS

CONTENT = bytes(range(256)) * 400


class Handler(BaseHTTPRequestHandler):
    """/to/ADDRESS redirects, /chunked does not say its length, /shifted sends another range, else CONTENT."""

    def do_GET(self) -> None:
        if self.path.startswith("/to/"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to/"))
            self.end_headers()
            return
        shifted = self.path == "/shifted" and self.headers.get("Range")
        self.send_response(206 if shifted else 200)
        if shifted:
            self.send_header("Content-Range", f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}")
        if self.path != "/open":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT)

    def log_message(self, *args: object) -> None:
        """Keep quiet."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/f", "file:///etc/hostname", "data:,text"])
def test_a_redirect_to_another_protocol_is_refused(server, tmp_path, target):
    with pytest.raises(DownloadError):
        download(f"{server}/to/{target}", tmp_path / "w.pth")
    assert not list(tmp_path.iterdir())


def test_https_never_leads_to_http():
    request = Request("https://example.org/a")
    with pytest.raises(DownloadError, match="which is not https"):
        _SameScheme().redirect_request(request, None, 302, "Found", {}, "http://example.org/a")
    assert _SameScheme().redirect_request(request, None, 302, "Found", {}, "https://example.org/b")


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/f", "file:///etc/hostname", "weights.pth"])
def test_other_addresses_are_refused(tmp_path, address):
    with pytest.raises(DownloadError, match="no https address"):
        download(address, tmp_path / "w.pth")


@pytest.mark.parametrize("path", ["/file", "/open"])
def test_no_more_is_taken_than_the_file_can_have(server, tmp_path, path):
    with pytest.raises(DownloadError, match=f"at most {len(CONTENT) - 1}"):
        download(server + path, tmp_path / "w.pth", max_bytes=len(CONTENT) - 1)
    assert not list(tmp_path.iterdir())
    download(server + path, tmp_path / "w.pth", max_bytes=len(CONTENT))
    assert (tmp_path / "w.pth").read_bytes() == CONTENT


def test_another_part_than_was_asked_for_is_not_appended(server, tmp_path):
    (tmp_path / "w.pth.part").write_bytes(CONTENT[:100])
    with pytest.raises(DownloadError, match="another part of the file"):
        download(server + "/shifted", tmp_path / "w.pth", hashlib.sha256(CONTENT).hexdigest())


def test_every_published_file_has_an_address_and_a_bound():
    for checkpoint in CHECKPOINTS.values():
        assert checkpoint.url.startswith("https://")
        assert 4e7 < checkpoint.max_bytes < 3e9


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_weights_that_are_not_numbers_are_refused_by_name(tmp_path: Path, suffix, dtype):
    path = tmp_path / f"w{suffix}"
    state = {"a.weight": torch.ones(3, dtype=dtype), "b.bias": torch.ones(4, dtype=dtype), "n": torch.ones(2).long()}
    save = save_file if suffix == ".safetensors" else torch.save
    save(state, path)
    assert load_state_dict(path).keys() == state.keys()
    state["b.bias"][2] = float("nan")
    save(state, path)
    with pytest.raises(CheckpointError, match=r"NaN.* 1 of 3 tensors, b\.bias first"):
        load_state_dict(path)
