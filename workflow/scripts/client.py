"""Run one job in the resident process of a slot: `client.py gpu|cpu < job.json`, started by a rule as `python -I -S`.

Every job pays for the client's start, so it imports neither json, socket nor pathlib: each takes longer than all that
is done here. It leases a slot, passes the job with its own stdout and stderr to the slot's resident
(regionflow.run.resident), waits, and moves the finished outputs to their final names. See docs/run.md.
"""

import _blake2  # the C cores of `hashlib` and `socket`
import _socket
import fcntl
import os
import stat
import sys
import time

ENV = os.environ
REFUSED = b"refused "
"""What the verdict on a job starts with that no other try would help; the error follows, as retries show it again."""


def main(pool: str) -> None:
    """Run the job on stdin in a slot of the pool; exit with 1 and a message on stderr if it failed."""
    job = sys.stdin.buffer.read()
    run_dir = ENV["REGIONFLOW_RUN_DIR"]
    make_private(run_dir)
    refusal = f"{run_dir}/refused-{_blake2.blake2b(job, digest_size=16).hexdigest()}"
    if os.path.exists(refusal):
        with open(refusal, "rb") as file:
            sys.stderr.buffer.write(
                b"error: " + file.read() + b"\n(Not tried again: this error is for a person to mend.)\n"
            )
        sys.exit(1)
    if pool == "gpu" and ENV["REGIONFLOW_GPU_SLOTS"] == "0":
        pool = "cpu"
    slot = Slot(pool, *lease(pool, int(ENV[f"REGIONFLOW_{pool.upper()}_SLOTS"])))
    header = (slot.python, ENV["REGIONFLOW_SCRIPTS"], os.getcwd(), ENV.get("TMPDIR", ""))
    request = b"\0".join([*map(os.fsencode, header), b"%d" % os.getpid(), job])
    verdict, outputs = slot.run(request)
    if verdict.startswith(REFUSED):
        with open(refusal, "wb") as file:
            file.write(verdict.removeprefix(REFUSED))
    finish(verdict, outputs, slot)


def make_private(directory: str) -> None:
    """Make the directory of the run, or see that what is there is a directory that only we can use, and no link."""
    try:
        os.mkdir(directory, 0o700)
    except FileExistsError:
        status = os.lstat(directory)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
            sys.exit(f"{directory} is not a directory of ours alone: set TMPDIR to a directory of your own.")


def lease(pool: str, count: int) -> tuple[int, int]:
    """Number of a slot of the pool that no other job holds, one with a resident if there is one, and its lock file.

    The slot is ours until the lock file is closed, here and in the processes it was passed to.
    """
    path = f"{ENV['REGIONFLOW_RUN_DIR']}/{pool}-"
    locks = [os.open(f"{path}{slot}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600) for slot in range(count)]
    parent = os.getppid()
    while os.getppid() == parent:  # else the run is over
        for slot in sorted(range(count), key=lambda slot: not os.path.exists(f"{path}{slot}.sock")):
            try:
                fcntl.flock(locks[slot], fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            return slot, locks[slot]
        time.sleep(0.01)
    sys.exit("The run ended before the job could start.")


def finish(verdict: bytes, outputs: list[tuple[bytes, bytes]], slot: "Slot") -> None:
    """Move the (temporary, final) outputs into place if the stage has returned and made them all; else remove them."""
    missing = [os.fsdecode(final) for temporary, final in outputs if not os.path.exists(temporary)]
    if verdict == b"done" and not missing:
        for temporary, final in outputs:
            os.replace(temporary, final)
        return
    for temporary, _ in outputs:
        for path in (temporary, temporary + b".part"):  # and what a file is called while it is being written
            if os.path.exists(path):
                os.unlink(path)
    if verdict == b"done":
        sys.exit(f"The stage returned without writing {', '.join(missing)}.")
    if verdict == b"failed" or verdict.startswith(REFUSED):
        sys.exit(1)  # the stage's traceback or error has been written already
    sys.exit(f"The worker of slot {slot.name} died during the job (killed? out of memory?); see also {slot.log}.")


class Slot:
    """A place where one job at a time runs: its resident, and its card if there are cards."""

    def __init__(self, pool: str, number: int, lock: int) -> None:
        self.lock = lock
        self.name = f"{pool}-{number}"
        self.address = f"{ENV['REGIONFLOW_RUN_DIR']}/{self.name}.sock"
        self.log = f"logs/workers/{self.name}.log"
        cards = [card for card in ENV["REGIONFLOW_CARDS"].split(",") if card] if pool == "gpu" else []
        self.card = cards[number % len(cards)] if cards else ""
        conda = ENV.get("CONDA_PREFIX", "")  # the environment of the rule (--sdm conda), or the one of snakemake itself
        self.python = ENV["REGIONFLOW_PYTHON"] if conda == ENV["REGIONFLOW_CONDA"] else f"{conda}/bin/python"

    def run(self, request: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """Have the request done. Returns b"done", b"failed", a refusal or (the process died) b"", and the outputs."""
        if ENV["REGIONFLOW_WARM"] == "0":
            return self.run_cold(request)
        for _ in range(3):  # a resident that ends (idle, or of another Python) as we ask has not started the job
            connection = self.connect()
            try:
                send(connection, request)
                answer = receive(connection)
            except (BrokenPipeError, ConnectionResetError):
                continue
            if answer:
                return verdict_of(connection, answer)
        sys.exit(f"The worker of slot {self.name} ended three times before it took the job; see {self.log}.")

    def run_cold(self, request: bytes) -> tuple[bytes, list[tuple[bytes, bytes]]]:
        """The same in a new process for this request alone."""
        ours, theirs = _socket.socketpair()
        self.start("--cold", str(theirs.fileno()), fds=(theirs.fileno(), self.lock))
        theirs.close()
        try:
            send(ours, request)
            answer = receive(ours)
        except (BrokenPipeError, ConnectionResetError):
            answer = []
        return verdict_of(ours, answer) if answer else (b"", [])

    def connect(self) -> _socket.socket:
        """A connection to the slot's resident, which is started if there is none."""
        process = None
        while True:
            connection = _socket.socket(_socket.AF_UNIX)
            try:
                connection.connect(self.address)
                return connection
            except (FileNotFoundError, ConnectionRefusedError):
                connection.close()
            if process is None:
                os.makedirs(os.path.dirname(self.log), exist_ok=True)
                with open(self.log, "ab") as log:
                    process = self.start("--resident", self.address, log=log)
            elif process.poll() is not None:
                sys.exit(f"The worker of slot {self.name} did not start; see {self.log}.")
            time.sleep(0.005)

    def start(self, *arguments: str, fds: tuple[int, ...] = (), log=None):
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
        return subprocess.Popen(
            [*watcher, ENV["REGIONFLOW_RUN"], ENV["REGIONFLOW_RUN_DIR"], *resident],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**ENV, **ours},
            pass_fds=fds,
            start_new_session=True,
        )


def verdict_of(connection: _socket.socket, answer: list[bytes]) -> tuple[bytes, list[tuple[bytes, bytes]]]:
    """The verdict on the job, waited for if the answer was that it started, and its (temporary, final) outputs."""
    verdict, *paths = answer
    if verdict == b"started":
        try:
            verdict = (receive(connection) or [b""])[0]
        except ConnectionResetError:
            verdict = b""
    return verdict, list(zip(paths[::2], paths[1::2], strict=True))


def send(connection: _socket.socket, message: bytes) -> None:
    """Send one message, its length first, together with our stdout and stderr for the job to write to."""
    fds = b"".join(fd.to_bytes(4, sys.byteorder) for fd in (1, 2))
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
