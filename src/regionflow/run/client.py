"""Run jobs in the resident processes of slots: `client.py gpu|cpu < job.json` for one, or imported for many.

The first is what a rule's shell command starts, as `python -I -S`: every job pays for the start, so this file imports
neither json, socket nor pathlib, each of which takes longer than all that is done here. The second is the executor
(snakemake_executor_plugin_regionflow), which needs no process per job. Both lease a slot, pass jobs with the files that
take their stdout and stderr to the slot's resident (regionflow.run.resident), wait, and move the finished outputs to
their final names. See docs/run.md.
"""

from __future__ import annotations

import _blake2  # the C cores of `hashlib` and `socket`
import _socket
import fcntl
import os
import stat
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Sequence

ENV = os.environ
REFUSED = b"refused "
"""What the verdict on a job starts with that no other try would help; the error follows, as retries show it again."""
MOST = 64
"""Jobs in one request: a message takes 253 file descriptors at most, and each job has two."""


class Trouble(Exception):
    """A job failed, or cannot be done at all; the message is for people."""


class Task:
    """One job as JSON, with the open files that take what it prints; in the end `error` is "" if all went well."""

    def __init__(self, job: bytes, stdout: int, stderr: int) -> None:
        self.job = job
        self.stdout, self.stderr = stdout, stderr
        self.outputs: list[tuple[bytes, bytes]] = []  # (temporary, final), once a resident has begun
        self.over = False
        self.error = ""

    def end(self, error: str = "", *, told: bool = False) -> None:
        """It is over; the error goes to where the job prints, if nobody has told it there."""
        self.over, self.error = True, error
        if error and not told:
            os.write(self.stderr, os.fsencode(error) + b"\n")

    def refusal(self) -> str:
        """The file in which a run notes that no other try would help this job."""
        return f"{ENV['REGIONFLOW_RUN_DIR']}/refused-{_blake2.blake2b(self.job, digest_size=16).hexdigest()}"

    def refused_before(self) -> bool:
        """Whether an earlier try in this run found that no other would help: it is over then."""
        try:
            with open(self.refusal(), "rb") as file:
                error = file.read()
        except FileNotFoundError:
            return False
        self.end(f"error: {os.fsdecode(error)}\n(Not tried again: this error is for a person to mend.)")
        return True

    def judge(self, verdict: bytes, slot: Slot) -> None:
        """Move the outputs into place if the stage has returned and made them all; else remove them."""
        missing = [os.fsdecode(final) for temporary, final in self.outputs if not os.path.exists(temporary)]
        if verdict == b"done" and not missing:
            for temporary, final in self.outputs:
                os.replace(temporary, final)
            self.end()
            return
        self.forget()
        if verdict.startswith(REFUSED):
            with open(self.refusal(), "wb") as file:
                file.write(verdict.removeprefix(REFUSED))
            self.end(os.fsdecode(verdict.removeprefix(REFUSED)), told=True)
        elif verdict == b"failed":
            self.end("the stage failed", told=True)
        elif verdict == b"done":
            self.end(f"The stage returned without writing {', '.join(missing)}.")
        else:
            self.end(
                f"The worker of slot {slot.name} died during the job (killed? out of memory?); see also {slot.log}."
            )

    def forget(self) -> None:
        """Remove what a resident has begun to write."""
        for temporary, _ in self.outputs:
            for path in (temporary, temporary + b".part"):  # and what a file is called while it is being written
                if os.path.exists(path):
                    os.unlink(path)
        self.outputs = []


def main(pool: str) -> None:
    """Run the job on stdin in a slot of the pool; exit with 1 and a message on stderr if it failed."""
    task = Task(sys.stdin.buffer.read(), 1, 2)
    parent = os.getppid()
    try:
        make_private(ENV["REGIONFLOW_RUN_DIR"])
        if not task.refused_before():
            with Slot(pool, over=lambda: os.getppid() != parent) as slot:
                slot.do([task], ENV.get("TMPDIR", ""), lambda: str(os.getpid()), lambda task: None)
    except Trouble as trouble:
        sys.exit(str(trouble))
    sys.exit(1 if task.error else 0)


def make_private(directory: str) -> None:
    """Make the directory of the run, or see that what is there is a directory that only we can use, and no link."""
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        status = os.lstat(directory)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
            raise Trouble(
                f"{directory} is not a directory of ours alone: set TMPDIR to a directory of your own."
            ) from None


def slots_of(pool: str) -> tuple[str, int]:
    """The pool in which jobs for "gpu" or "cpu" run, and its number of slots."""
    if pool == "gpu" and ENV["REGIONFLOW_GPU_SLOTS"] == "0":
        pool = "cpu"
    return pool, int(ENV[f"REGIONFLOW_{pool.upper()}_SLOTS"])


def lease(pool: str, count: int, over: Callable[[], bool]) -> tuple[int, int]:
    """Number of a slot of the pool that no other job holds, one with a resident if there is one, and its lock file.

    The slot is ours until the lock file is closed, here and in the processes it was passed to.
    """
    path = f"{ENV['REGIONFLOW_RUN_DIR']}/{pool}-"
    locks = [os.open(f"{path}{slot}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) for slot in range(count)]
    try:
        while not over():
            for slot in sorted(range(count), key=lambda slot: not os.path.exists(f"{path}{slot}.sock")):
                try:
                    fcntl.flock(locks[slot], fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    continue
                lock, locks[slot] = locks[slot], -1
                return slot, lock
            time.sleep(0.01)
    finally:
        for lock in locks:
            if lock >= 0:
                os.close(lock)
    raise Trouble("The run ended before the job could start.")


class Slot:
    """A place where one request at a time is worked on: its resident, and its card if there are cards.

    Leased from its creation to the end of the `with` block. `over()` says whether the run has ended.
    """

    def __init__(self, pool: str, over: Callable[[], bool]) -> None:
        pool, count = slots_of(pool)
        number, self.lock = lease(pool, count, over)
        self.over = over
        self.name = f"{pool}-{number}"
        self.address = f"{ENV['REGIONFLOW_RUN_DIR']}/{self.name}.sock"
        self.log = f"{ENV.get('REGIONFLOW_WORKER_LOGS', 'logs/workers')}/{self.name}.log"
        cards = [card for card in ENV["REGIONFLOW_CARDS"].split(",") if card] if pool == "gpu" else []
        self.card = cards[number % len(cards)] if cards else ""
        conda = ENV.get("CONDA_PREFIX", "")  # the environment of the rule (--sdm conda), or the one of snakemake itself
        self.python = ENV["REGIONFLOW_PYTHON"] if conda == ENV["REGIONFLOW_CONDA"] else f"{conda}/bin/python"
        self.started: Callable[[subprocess.Popen[bytes]], None] = lambda process: None

    def __enter__(self) -> Slot:
        return self

    def __exit__(self, *error: object) -> None:
        os.close(self.lock)

    def do(self, tasks: Sequence[Task], tmpdir: str, token: Callable[[], str], told: Callable[[Task], None]) -> None:
        """Have the jobs done, all of them whatever becomes of single ones; `told(task)` as soon as each is over.

        A resident that dies fails the job that it was doing. If it was doing several together nobody knows whose fault
        it was: each is tried by itself. What it had not begun is done by the next resident.

        Args:
            tasks: at most MOST jobs of one number of threads.
            tmpdir: folder for their temporary files.
            token: gives what is in the names of the temporary outputs of a request: our process number, or that, "-"
                and a number that was not used before. (The watcher of a dead resident removes them seconds later.)
            told: what is called.

        Raises:
            Trouble: no worker starts, or the run has ended.
        """
        requests, fruitless = [list(tasks)], 0
        while requests:
            request = requests.pop(0)
            self.ask(request, tmpdir, token(), told)
            left = [task for task in request if not task.over]
            begun, rest = [task for task in left if task.outputs], [task for task in left if not task.outputs]
            if len(begun) == 1:
                begun[0].judge(b"", self)
                told(begun[0])
            else:
                requests = [[task] for task in begun] + requests
                for task in begun:
                    task.forget()
            fruitless = fruitless + 1 if rest == request else 0
            if fruitless == 3:
                raise Trouble(
                    f"The worker of slot {self.name} ended three times before it took the job; see {self.log}."
                )
            if rest:
                requests.insert(0, rest)

    def ask(self, tasks: list[Task], tmpdir: str, token: str, told: Callable[[Task], None]) -> None:
        """Pass the jobs to a resident and see them end, or the resident; it may end before it has begun with one."""
        connection = self.connect() if ENV["REGIONFLOW_WARM"] == "1" else self.start_cold()
        header = (self.python, ENV["REGIONFLOW_SCRIPTS"], os.getcwd(), tmpdir, token)
        try:
            send(connection, [*map(os.fsencode, header), *(task.job for task in tasks)], tasks)
            while any(not task.over for task in tasks) and (answer := receive(connection)):
                verdict, number, *paths = answer
                task = tasks[int(number)]
                if verdict == b"started":
                    task.outputs = list(zip(paths[::2], paths[1::2], strict=True))
                else:
                    task.judge(verdict, self)
                    told(task)
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            connection.close()

    def start_cold(self) -> _socket.socket:
        """A connection to a new process for one request alone."""
        ours, theirs = _socket.socketpair()
        self.start("--cold", str(theirs.fileno()), fds=(theirs.fileno(), self.lock))
        theirs.close()
        return ours

    def connect(self) -> _socket.socket:
        """A connection to the slot's resident, which is started if there is none."""
        process = None
        while not self.over():
            connection = _socket.socket(_socket.AF_UNIX)
            try:
                connection.connect(self.address)
                return connection
            except (FileNotFoundError, ConnectionRefusedError):
                connection.close()
            if process is None:
                os.makedirs(os.path.dirname(self.log), exist_ok=True)
                with open(self.log, "ab") as log:
                    process = self.start("--resident", self.address, log=log.fileno())
            elif process.poll() is not None:
                raise Trouble(f"The worker of slot {self.name} did not start; see {self.log}.")
            time.sleep(0.005)
        raise Trouble("The run ended before the job could start.")

    def start(self, *arguments: str, fds: tuple[int, ...] = (), log: int | None = None) -> subprocess.Popen[bytes]:
        """Start a watcher with a process that runs stages: they end by themselves, and tidily, when we have gone."""
        import subprocess  # 15 ms

        ours = {
            "CUDA_VISIBLE_DEVICES": self.card,
            "REGIONFLOW_DEVICE": "cuda" if self.card else "cpu",
            "REGIONFLOW_PYTHON": self.python,
            "REGIONFLOW_SLOT": self.name,
        }
        watcher = [self.python, "-I", "-S", ENV["REGIONFLOW_WATCHER_SCRIPT"]]
        resident = [self.python, "-P", "-m", "regionflow.run.resident", *arguments]
        process = subprocess.Popen(
            [*watcher, ENV["REGIONFLOW_RUN"], ENV["REGIONFLOW_RUN_DIR"], *resident],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**ENV, **ours},
            pass_fds=fds,
            start_new_session=True,
        )
        self.started(process)
        return process


def send(connection: _socket.socket, fields: list[bytes], tasks: list[Task]) -> None:
    """Send one message, its length first, together with the files that take stdout and stderr of each job."""
    fds = b"".join(fd.to_bytes(4, sys.byteorder) for task in tasks for fd in (task.stdout, task.stderr))
    message = b"\0".join(fields)
    data = len(message).to_bytes(4, "big") + message
    sent = connection.sendmsg([data], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, fds)])
    if sent < len(data):  # sending nothing would fail if the job is done already
        connection.sendall(data[sent:])


def receive(connection: _socket.socket) -> list[bytes]:
    """The fields of one message; none if the other side has gone."""
    head = receive_exactly(connection, 4)
    body = receive_exactly(connection, int.from_bytes(head, "big")) if head else b""
    return body.split(b"\0") if body else []


def receive_exactly(connection: _socket.socket, size: int) -> bytes:
    """That many bytes; none if the other side has gone before."""
    data = b""
    while len(data) < size:
        part = connection.recv(min(size - len(data), 65536))
        if not part:
            return b""
        data += part
    return data


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except KeyboardInterrupt:
        sys.exit(130)
