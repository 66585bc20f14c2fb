"""One run works, the next waits, and gets its turn when that is passed on or its holder ends, however it ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from regionflow.run import turns

CHILD = """
from regionflow.run import turns
turns.take({!r})
print("mine", flush=True)
input()
turns.pass_on()
print("given", flush=True)
input()
"""


def child(folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD.format(str(folder))]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_turns_pass_on_and_survive_a_kill(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    first = child(folder)
    assert said(first) == "mine"
    second = child(folder)
    assert first.stdin is not None
    first.stdin.write("\n")
    first.stdin.flush()
    assert said(first) == "given"
    assert said(second) == "mine"
    third = child(folder)
    os.kill(second.pid, signal.SIGKILL)
    assert said(third) == "mine"
    for process in (first, second, third):
        process.kill()
        process.communicate()


def test_runs_that_share_more_than_slots_go_one_by_one() -> None:
    assert turns.at_once(["gpu"]) == turns.at_once([]) == 2
    assert turns.at_once(["gpu", "mem_mb"]) == 1
