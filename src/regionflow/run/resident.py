"""The process that runs stages: `--resident SOCKET` for job after job of one slot, `--cold FD` for a single one.

It takes jobs from the client (regionflow.run.client) over a UNIX socket, one or several at a time, with files for the
stdout and stderr of each, which are its own while the job runs. It writes to temporary names only; the client renames.
It ends when it has been idle for a while and after a job that failed, since nobody knows what state a failed stage
leaves behind (a CUDA error lasts as long as its process); its watcher ends it when the run ends and when its client
dies during a job.
"""

import contextlib
import faulthandler
import io
import os
import socket
import sys
import tempfile
import threading
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

from regionflow.base.errors import UserError
from regionflow.base.reads import noted
from regionflow.formats.records import Record
from regionflow.run import origins, stage
from regionflow.run.client import MOST
from regionflow.run.costs import Meter, tell
from regionflow.run.job import Job, ModelCache
from regionflow.run.leftovers import RECORD, record
from regionflow.run.watcher import start_time

_IDLE_SECONDS = 300.0


@dataclass(frozen=True)
class Request:
    """Jobs as the client sends them; `outputs` has a file descriptor for stdout and one for stderr of each."""

    python: str
    scripts: Path
    cwd: Path
    tmpdir: str
    token: str
    jobs: list[str]
    outputs: list[tuple[int, int]]


def receive(connection: socket.socket) -> Request | None:
    """Read one request: its length in four bytes, then fields separated by NUL. None if the client has gone."""
    data, fds = b"", []
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        part, new, _, _ = socket.recv_fds(connection, 1 << 16, 2 * MOST)
        fds += new
        if not part:
            for fd in fds:
                os.close(fd)
            return None
        data += part
    python, scripts, cwd, tmpdir, token, *jobs = (os.fsdecode(field) for field in data[4:].split(b"\0"))
    outputs = list(zip(fds[::2], fds[1::2], strict=True))
    return Request(python, Path(scripts), Path(cwd), tmpdir, token, jobs, outputs)


def send(connection: socket.socket, *fields: str) -> None:
    """Send one message: its length in four bytes, then the fields separated by NUL."""
    message = b"\0".join(map(os.fsencode, fields))
    connection.sendall(len(message).to_bytes(4, "big") + message)


class Watcher:
    """Our parent, which ends us when there is nobody left to work for (regionflow.run.watcher)."""

    def __init__(self) -> None:
        self._record = Path(os.environ["REGIONFLOW_RUN_DIR"], os.environ["REGIONFLOW_SLOT"] + RECORD)
        pipe = int(os.environ.pop("REGIONFLOW_WATCHER"))
        os.set_inheritable(pipe, False)
        self._pipe = os.fdopen(pipe, "wb", buffering=0)

    def starts(self, client: str, temporary: list[Path]) -> None:
        """From now on the end of the client ends us, and the temporary outputs go."""
        record(self._record, temporary)
        self._tell("starts", f"{client}-{start_time(int(client))}", *map(str, temporary))

    def over(self) -> None:
        """The outputs are the client's to rename; they go if it ends without."""
        self._tell("over")

    def _tell(self, *fields: str) -> None:
        message = b"\0".join(map(os.fsencode, fields))
        self._pipe.write(len(message).to_bytes(4, "big") + message)


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


def _run(request: Request, connection: socket.socket, models: ModelCache, watcher: Watcher) -> bool:
    """Run the jobs of a request and tell the client how each went. Returns whether all succeeded."""
    os.chdir(request.cwd)
    os.environ["TMPDIR"], tempfile.tempdir = request.tmpdir, None
    device = os.environ["REGIONFLOW_DEVICE"]
    watcher.starts(
        request.token.partition("-")[0],
        [output for text in request.jobs for output in stage.temporary_outputs(text, request.token)],
    )
    if len(request.jobs) > 1 and device != "cpu" and (together := stage.together(request.jobs, request.scripts)):
        team = Team(request, connection, models, device)
        with team.jobs() as jobs:
            together(jobs, team)
        watcher.over()
        return team.succeeded()
    for number, (text, files) in enumerate(zip(request.jobs, request.outputs, strict=True)):
        meter = Meter(models)
        with _output_to(*files), _judged() as judgement:
            job, outputs = stage.read(text, request.token, device, models)
            send(connection, "started", str(number), *(str(path) for pair in outputs for path in pair))
            with origins.kept(job, outputs):
                stage.run(job, request.scripts)
            tell(meter.record(job.stage, job.names, job.threads), meter.loads())
        if number == len(request.jobs) - 1:
            watcher.over()
        send(connection, judgement.verdict, str(number))
        if judgement.verdict != "done":
            return False
    return True


@dataclass
class Judgement:
    """What became of a job: "done", "failed", or "refused " and why no other try would help."""

    verdict: str = "done"


@contextlib.contextmanager
def _judged() -> Iterator[Judgement]:
    """Whatever the block raises is printed, and is the verdict."""
    judgement = Judgement()
    try:
        yield judgement
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        judgement.verdict = "failed" if error.passing else f"refused {error}"
    except BaseException:
        traceback.print_exc()
        judgement.verdict = "failed"


class OfThread:
    """In place of sys.stdout or sys.stderr: what a thread prints goes to the file that it has chosen, if it has."""

    def __init__(self, own: TextIO) -> None:
        self._own, self._chosen = own, threading.local()

    def __getattr__(self, name: str) -> Any:
        return getattr(getattr(self._chosen, "file", self._own), name)

    @contextlib.contextmanager
    def to(self, descriptor: int) -> Iterator[None]:
        """Send what this thread prints to an open file, which stays open."""
        with os.fdopen(os.dup(descriptor), "w", 1, "utf-8", "backslashreplace") as file:
            self._chosen.file = file
            try:
                yield
            finally:
                del self._chosen.file


class Team:
    """The jobs of a request that are worked on together, by several threads (regionflow.run.together.Working).

    What Python prints goes to the log of the job whose block the thread is in. What native code prints goes to the log
    of the resident: the process has only one place for it, and it must not be the log of another job.
    """

    def __init__(self, request: Request, connection: socket.socket, models: ModelCache, device: str) -> None:
        self._request, self._connection = request, connection
        self._meter = Meter(models)
        self._told = Spent()
        self._verdicts: dict[int, str] = {}
        self._lock = threading.Lock()
        self._out, self._err = OfThread(sys.stdout), OfThread(sys.stderr)
        self._members: list[tuple[Job, list[tuple[Path, Path]]]] = []
        self._read: list[dict[str, str]] = [{} for _ in request.jobs]
        for text in request.jobs:
            self._members.append(stage.read(text, request.token, device, models))

    @contextlib.contextmanager
    def jobs(self) -> Iterator[list[Job]]:
        """All of them, begun with from now on; their files for what they print are closed at the end."""
        for number, (_, outputs) in enumerate(self._members):
            send(self._connection, "started", str(number), *(str(path) for pair in outputs for path in pair))
        try:
            with contextlib.redirect_stdout(self._out), contextlib.redirect_stderr(self._err):
                yield [job for job, _ in self._members]
        finally:
            for files in self._request.outputs:
                for file in files:
                    os.close(file)

    @contextlib.contextmanager
    def __call__(self, job: Job) -> Iterator[None]:
        """What the block prints and raises is the job's."""
        number = self._number(job)
        out, err = self._request.outputs[number]
        with self._out.to(out), self._err.to(err), _judged() as judgement, noted(self._read[number], of_thread=True):
            yield
        if judgement.verdict != "done":
            self._end(number, judgement.verdict)

    def done(self, job: Job, left: int = 1) -> None:
        """Tell what it cost, its share of what was spent since others were over, and that it is over."""
        number, size = self._number(job), len(self._members)
        with self._lock:
            until_now = self._meter.record(job.stage, job.names, job.threads)
            record = replace(self._told.share(until_now, left), batch=size)
            loads = 0 if "done" in self._verdicts.values() else self._meter.loads()
        origins.keep(*self._members[number], self._read[number])
        tell(record, loads)
        sys.stdout.flush()
        self._end(number, "done")

    def succeeded(self) -> bool:
        """Whether all are done."""
        return list(self._verdicts.values()) == ["done"] * len(self._members)

    def _number(self, job: Job) -> int:
        return next(number for number, (member, _) in enumerate(self._members) if member is job)

    def _end(self, number: int, verdict: str) -> None:
        with self._lock:
            self._verdicts[number] = verdict
            send(self._connection, verdict, str(number))


@dataclass
class Spent:
    """What jobs that were worked on together were told to have cost, all in all."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0
    load_seconds: float = 0.0

    def share(self, until_now: Record, left: int) -> Record:
        """The record of one of `left` jobs: its share in what nobody was told to have cost."""
        seconds = (until_now.seconds - self.seconds) / left
        cpu_seconds = (until_now.cpu_seconds - self.cpu_seconds) / left
        load_seconds = (until_now.load_seconds - self.load_seconds) / left
        self.seconds, self.cpu_seconds = self.seconds + seconds, self.cpu_seconds + cpu_seconds
        self.load_seconds += load_seconds
        return replace(until_now, seconds=seconds, cpu_seconds=cpu_seconds, load_seconds=load_seconds)


def main(mode: str, where: str) -> None:
    """Serve the jobs that come to the socket of that path, or the one that comes from that file descriptor."""
    faulthandler.enable()  # writes to stderr, so a crash in native code is in the log of the job
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # so is what a job has printed when this process is killed
    models = ModelCache()
    watcher = Watcher()
    if mode == "--cold":
        with socket.socket(fileno=int(where)) as connection:
            if request := receive(connection):
                _run(request, connection, models, watcher)
        return
    address = Path(where)
    with socket.socket(socket.AF_UNIX) as listener:
        bound = address.with_suffix(".new")
        listener.bind(str(bound))
        listener.listen()
        bound.replace(address)  # only now can a client find it
        listener.settimeout(float(os.environ.get("REGIONFLOW_IDLE_SECONDS", _IDLE_SECONDS)))
        with contextlib.suppress(TimeoutError):
            while _serve(listener, models, watcher):
                pass
        address.unlink(missing_ok=True)
    os._exit(0)  # at once, whatever threads a stage has left


def _serve(listener: socket.socket, models: ModelCache, watcher: Watcher) -> bool:
    """Do the next job that comes. Returns whether this process can do another.

    Raises TimeoutError if none comes for long.
    """
    connection, _ = listener.accept()
    with connection, contextlib.suppress(BrokenPipeError, ConnectionResetError):
        request = receive(connection)
        if request is not None:
            return request.python == os.environ["REGIONFLOW_PYTHON"] and _run(request, connection, models, watcher)
    return True


if __name__ == "__main__":
    main(*sys.argv[1:3])
