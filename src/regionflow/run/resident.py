"""The process that runs stages: `--resident SOCKET` for job after job of one slot, `--cold FD` for a single one.

It takes jobs from the client (workflow/scripts/client.py) over a UNIX socket, with the client's stdout and stderr,
which are its own while the job runs. It writes to temporary names only; the client renames. It ends when the run ends,
when it has been idle for a while, when its client dies during a job, and after a job that failed, since nobody knows
what state a failed stage leaves behind (a CUDA error lasts as long as its process).
"""

import contextlib
import faulthandler
import os
import resource
import select
import shutil
import socket
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from regionflow.base.errors import UserError
from regionflow.run import stage
from regionflow.run.job import ModelCache
from regionflow.run.slots import start_time

_IDLE_SECONDS = 300.0
_WATCH_SECONDS = 0.2


@dataclass(frozen=True)
class Request:
    """One job as the client sends it."""

    python: str
    scripts: Path
    cwd: Path
    tmpdir: str
    token: str
    job: str
    stdout: int
    stderr: int


def receive(connection: socket.socket) -> Request | None:
    """Read one request: its length in four bytes, then fields separated by NUL. None if the client has gone."""
    data, fds = b"", []
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        part, new, _, _ = socket.recv_fds(connection, 1 << 16, 2)
        fds += new
        if not part:
            for fd in fds:
                os.close(fd)
            return None
        data += part
    python, scripts, cwd, tmpdir, token, job = (os.fsdecode(field) for field in data[4:].split(b"\0", 5))
    return Request(python, Path(scripts), Path(cwd), tmpdir, token, job, *fds)


def send(connection: socket.socket, *fields: str) -> None:
    """Send one message: its length in four bytes, then the fields separated by NUL."""
    message = b"\0".join(map(os.fsencode, fields))
    connection.sendall(len(message).to_bytes(4, "big") + message)


class Watch(threading.Thread):
    """Ends this process when there is nobody left to work for."""

    def __init__(self, run: str, address: Path | None) -> None:
        """Watch the run "PID-STARTTIME" ("" for none) and, for a resident at that address, idle time."""
        super().__init__(daemon=True)
        self._address = address
        self._idle_seconds = float(os.environ.get("REGIONFLOW_IDLE_SECONDS", _IDLE_SECONDS))
        self._idle_since = time.monotonic()
        self._lock = threading.Lock()
        self._client: socket.socket | None = None
        self._temporary: list[Path] = []
        self._run = select.poll()
        if run and hasattr(os, "pidfd_open"):
            pid, _, started = run.partition("-")
            try:
                self._run.register(os.pidfd_open(int(pid)), select.POLLIN)
            except ProcessLookupError:
                self.end(run_over=True)
            if start_time(int(pid)) != started:
                self.end(run_over=True)

    @contextlib.contextmanager
    def job(self, client: socket.socket, temporary: list[Path]) -> Iterator[None]:
        """While this lasts, the end of the client ends us, and the temporary outputs go first."""
        with self._lock:
            self._client, self._temporary = client, temporary
        try:
            yield
        finally:
            with self._lock:
                self._client, self._temporary, self._idle_since = None, [], time.monotonic()

    def run(self) -> None:
        """Look a few times a second; a poll on the client's connection needs no message to see that it has gone."""
        while True:
            if self._run.poll(_WATCH_SECONDS * 1000):
                self.end(run_over=True)
            with self._lock:
                if self._client is not None:
                    poll = select.poll()
                    poll.register(self._client, 0)  # errors and hang-up are always reported
                    if poll.poll(0):
                        self.end()
                elif self._address and time.monotonic() - self._idle_since > self._idle_seconds:
                    self.end()

    def end(self, run_over: bool = False) -> None:
        """End at once, whatever the other threads do, and leave no temporary file behind."""
        for path in self._temporary:
            path.unlink(missing_ok=True)
        if self._address:
            self._address.unlink(missing_ok=True)
            if run_over:
                shutil.rmtree(self._address.parent, ignore_errors=True)
        os._exit(0)


@contextlib.contextmanager
def _output_to(stdout: int, stderr: int) -> Iterator[None]:
    """Send what Python and native code write to these files, and close them afterwards."""
    own = os.dup(1), os.dup(2)
    try:
        for new, target in zip((stdout, stderr), (1, 2), strict=True):
            os.dup2(new, target)
            os.close(new)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for old, target in zip(own, (1, 2), strict=True):
            os.dup2(old, target)
            os.close(old)


def _run(request: Request, connection: socket.socket, models: ModelCache, watch: Watch) -> bool:
    """Run one job and tell the client how it went. Returns whether it succeeded."""
    started, loads = time.monotonic(), models.loads
    with _output_to(request.stdout, request.stderr):
        try:
            os.chdir(request.cwd)
            os.environ["TMPDIR"], tempfile.tempdir = request.tmpdir, None
            job, outputs = stage.read(request.job, request.token, os.environ["REGIONFLOW_DEVICE"], models)
            with watch.job(connection, [temporary for temporary, _ in outputs]):
                send(connection, "started", *(str(path) for pair in outputs for path in pair))
                stage.run(job, request.scripts)
            where = f"{os.environ['REGIONFLOW_SLOT']} (process {os.getpid()}, {_peak_gib():.2f} GiB at most)"
            print(f"{job.stage}: {time.monotonic() - started:.3f} s in {where}; models loaded: {models.loads - loads}")
            verdict = "done"
        except UserError as error:
            print(f"error: {error}", file=sys.stderr)
            verdict = "failed"
        except BaseException:
            traceback.print_exc()
            verdict = "failed"
    send(connection, verdict)
    return verdict == "done"


def _peak_gib() -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**30


def main(mode: str, where: str) -> None:
    """Serve the jobs that come to the socket of that path, or the one that comes from that file descriptor."""
    faulthandler.enable()  # writes to stderr, so a crash in native code is in the log of the job
    models = ModelCache()
    if mode == "--cold":
        with socket.socket(fileno=int(where)) as connection:
            watch = Watch(os.environ["REGIONFLOW_RUN"], None)
            watch.start()
            if request := receive(connection):
                _run(request, connection, models, watch)
        return
    address = Path(where)
    watch = Watch(os.environ["REGIONFLOW_RUN"], address)
    watch.start()
    with socket.socket(socket.AF_UNIX) as listener:
        bound = address.with_suffix(".new")
        listener.bind(str(bound))
        listener.listen()
        bound.replace(address)  # only now can a client find it
        while True:
            connection, _ = listener.accept()
            with connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
                request = receive(connection)
                if request is None:
                    continue
                if request.python != os.environ["REGIONFLOW_PYTHON"] or not _run(request, connection, models, watch):
                    watch.end()


if __name__ == "__main__":
    main(*sys.argv[1:3])
