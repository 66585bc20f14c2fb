"""A process that starts a resident and ends it when there is nobody left to work for, whatever it is busy with.

The resident's own threads cannot: native code may hold Python's lock for minutes. Started by the client as
`python -I -S watcher.py RUN DIRECTORY PYTHON ARGUMENTS...` with the standard library's smallest part, so that it costs
milliseconds and little memory. What the resident is doing comes over a pipe; see docs/run.md.
"""

import os
import select
import signal
import sys
import time

PART = ".part"  # regionflow.base.files.PART
SECONDS = 0.25
_stopped = False
LINGER_SECONDS = 3  # what kills a resident may be about to kill the run, which takes longer to die


def main(run: str, directory: str, command: list[str]) -> None:
    """Start the resident and watch until it has gone.

    Args:
        run: process and start time of the run, "PID-START"; "" for none.
        directory: of the run's sockets and locks.
        command: of the resident; after --cold comes a file descriptor that must be open nowhere else.
    """
    pipe, resident = start(command)
    if "--cold" in command:
        os.close(int(command[-1]))
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):  # the job's files: they are closed when the job is over
        os.dup2(nothing, fd)
    watch(pipe, resident, run, directory)


def start(command: list[str]) -> tuple[int, int]:
    """Start the resident, which ends when we do. Returns the pipe on which it tells what it does, and its pid."""
    pipe, told = os.pipe()
    watcher = os.getpid()
    resident = os.fork()
    if resident:
        os.close(told)
        return pipe, resident
    os.setsid()  # a process group that can be killed with all that it will start
    end_with_parent()
    if os.getppid() != watcher:
        os._exit(1)
    os.set_inheritable(told, True)
    os.execve(command[0], command, {**os.environ, "REGIONFLOW_WATCHER": str(told)})


def end_with_parent() -> None:
    """Have the kernel kill this process when its parent dies (Linux)."""
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def stop(number: int, frame: object) -> None:
    """Snakemake asks us to end: Ctrl-C. Its directory is its own to remove; other runs may share it."""
    global _stopped  # noqa: PLW0603
    _stopped = True


def watch(pipe: int, resident: int, run: str, directory: str) -> None:
    """End the resident and clear up when the run or the client of its job has ended."""
    signal.signal(signal.SIGTERM, stop)
    started = start_time(resident)
    client, at_work = "", False
    temporary: list[str] = []
    resident_gone = False
    while not resident_gone:
        # Asked before the messages are read: what the resident said before its client went is then among them.
        client_gone = bool(client) and not alive(client)
        while select.select([pipe], [], [], 0 if client_gone else SECONDS)[0]:
            kind, *fields = receive(pipe) or ["gone"]
            resident_gone = kind == "gone"
            at_work = kind == "starts"
            if at_work:
                remove(temporary)  # of a client that was killed before it could rename them
                client, *temporary = fields
                client_gone = False
            if resident_gone:
                break
        run_over = bool(run) and not alive(run)
        resident_gone = (
            resident_gone or run_over or _stopped or (client_gone and at_work) or not alive(f"{resident}-{started}")
        )
        if resident_gone:
            kill_group(resident)  # and what it has started itself
            wait_for(client)
        if client_gone or resident_gone:
            remove(temporary)
            client, temporary = "", []
    killed = os.WIFSIGNALED(os.waitpid(resident, 0)[1])
    deadline = time.monotonic() + LINGER_SECONDS
    while killed and not run_over and time.monotonic() < deadline:
        time.sleep(0.05)
        run_over = bool(run) and not alive(run)
    if run_over:
        remove_directory(directory)


def receive(pipe: int) -> list[str]:
    """The fields of the resident's next message (four bytes of length, then text separated by NUL); none at its end."""
    data = b""
    while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
        part = os.read(pipe, 4 - len(data) if len(data) < 4 else 4 + int.from_bytes(data[:4], "big") - len(data))
        if not part:
            return []
        data += part
    return [os.fsdecode(field) for field in data[4:].split(b"\0")]


def start_time(process: int) -> str:
    """When a process started, in clock ticks since boot: with its number it names it for ever. "0" if unknown."""
    try:
        with open(f"/proc/{process}/stat", encoding="utf-8", errors="replace") as file:
            state, *fields = file.read().rpartition(")")[2].split()
    except OSError:
        return "0"
    return "gone" if state in "ZX" else fields[18]


def alive(name: str) -> bool:
    """Whether the process "PID-START" is there, and no zombie."""
    process, _, started = name.partition("-")
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return started in ("0", start_time(int(process)))


def kill_group(leader: int) -> None:
    """Kill the process and all that it has started."""
    for kill in (os.killpg, os.kill):
        try:
            kill(leader, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            continue


def wait_for(client: str) -> None:
    """Give the client of a finished job the moment that it needs to rename its outputs."""
    deadline = time.monotonic() + 5
    while client and alive(client) and time.monotonic() < deadline:
        time.sleep(0.02)


def remove(paths: list[str]) -> None:
    """Remove files and what they are called while they are being written, where they are there."""
    for path in paths:
        for name in (path, path + PART):
            try:
                os.unlink(name)
            except OSError:
                continue


def remove_directory(path: str) -> None:
    """Remove the directory of the run; another resident's watcher may do so at the same time."""
    import shutil

    for _ in range(3):
        shutil.rmtree(path, ignore_errors=True)
        if not os.path.exists(path):
            return
        time.sleep(0.1)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
