"""A hub of models on the loopback interface, as huggingface_hub asks for one."""

import hashlib
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0" * 39 + "1"


class Hub:
    """Files by path ("owner/name/file") and what was asked for: method, path and range.

    seconds_per_chunk: how long 64 KiB take; refuse: answer 403 to everything.
    """

    def __init__(self, files: dict[str, bytes]) -> None:
        self.files = files
        self.asked: list[tuple[str, str, str | None]] = []
        self.seconds_per_chunk = 0.0
        self.refuse = False
        self.address = ""


@contextmanager
def hub(files: dict[str, bytes]) -> Iterator[Hub]:
    """A hub with these files until the block ends; its `address` goes into HF_ENDPOINT."""
    served = Hub(files)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            wanted = self.headers.get("Range")
            served.asked.append((self.command, self.path, wanted))
            repository, _, name = self.path.lstrip("/").partition("/resolve/")
            content = served.files.get(f"{repository}/{name.partition('/')[2]}")
            if served.refuse or content is None:
                self.send_response(403 if served.refuse else 404)
                if not served.refuse:
                    self.send_header("X-Error-Code", "EntryNotFound")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            start = int(wanted.removeprefix("bytes=").rstrip("-").partition("-")[0]) if wanted else 0
            self.send_response(206 if start else 200)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("Accept-Ranges", "bytes")
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(len(content) - start))
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.end_headers()
            for begin in range(start, len(content) if body else 0, 1 << 16):
                self.wfile.write(content[begin : begin + (1 << 16)])
                time.sleep(served.seconds_per_chunk)

        def log_message(self, *args: object) -> None:
            """Keep quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        served.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield served
        server.shutdown()
