"""How many jobs run side by side, and where: the slots of one run, handed to its jobs through the environment."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from regionflow.run import watcher
from regionflow.run.leftovers import new_directory
from regionflow.run.watcher import start_time

_SOCKET_DIR_LIMIT = 36  # bytes; a UNIX socket's path may have 107, and what is appended needs up to 70


@dataclass(frozen=True)
class Slots:
    """The slots of one run: `cpu` on the processor, `gpu` that take the cards in turn (slot modulo number of cards).

    Without cards the `gpu` slots work on the processor; with gpu = 0 model jobs use the `cpu` slots.
    """

    cpu: int
    gpu: int
    cards: tuple[str, ...]
    warm: bool

    def describe(self) -> str:
        """One line for the log."""
        if self.cards:
            cards = f"card{'s' * (len(self.cards) > 1)} {', '.join(self.cards)}"
            models = f"{self.gpu} GPU slot{'s' * (self.gpu > 1)} on {cards}"
        else:
            models = f"no card: models run on the CPU in {self.gpu or self.cpu} slots"
        return f"{models}; {self.cpu} CPU slots; {'warm workers' if self.warm else 'a cold process for each job'}."

    def environment(self) -> dict[str, str]:
        """What the client (regionflow.run.client) and the residents read, for a run whose process is this one."""
        pid = os.getpid()
        environment = {
            "REGIONFLOW_WARM": str(int(self.warm)),
            "REGIONFLOW_RUN": f"{pid}-{start_time(pid)}",
            "REGIONFLOW_RUN_DIR": str(new_directory(socket_base())),
            "REGIONFLOW_CPU_SLOTS": str(self.cpu),
            "REGIONFLOW_GPU_SLOTS": str(self.gpu),
            "REGIONFLOW_CARDS": ",".join(self.cards),
            "REGIONFLOW_PYTHON": sys.executable,
            "REGIONFLOW_WATCHER_SCRIPT": watcher.__file__,
            "REGIONFLOW_CONDA": os.environ.get("CONDA_PREFIX", ""),
        }
        if "CUDA_VISIBLE_DEVICES" not in os.environ:  # our numbers are nvidia-smi's, which go by the bus
            environment["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        return environment


def plan(cores: int, gpu_limit: int | None, warm: bool, environ: Mapping[str, str] = os.environ) -> Slots:
    """The slots of a run on `cores` cores; `gpu_limit` is what the user asked for (0: no cards), None if nothing."""
    cards = visible_cards(environ) if gpu_limit != 0 else ()
    return Slots(cpu=cores, gpu=len(cards) if gpu_limit is None else gpu_limit, cards=cards, warm=warm)


def visible_cards(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Names of the NVIDIA cards that a process may use, each good as CUDA_VISIBLE_DEVICES; found without torch."""
    listed = environ.get("CUDA_VISIBLE_DEVICES")
    if listed is not None:
        names = [name.strip() for name in listed.split(",")]
        end = next((i for i, name in enumerate(names) if name in ("", "-1")), len(names))  # as CUDA reads it
        return tuple(names[:end])
    try:
        command = ["nvidia-smi", "-L"]
        listing = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except (OSError, subprocess.SubprocessError):
        return ()
    return _cards_of(listing)


def _cards_of(listing: str) -> tuple[str, ...]:
    """Cards of an `nvidia-smi -L` listing: the numbers of whole cards, the UUIDs of the parts of a divided one."""
    cards: list[str] = []
    for line in listing.splitlines():
        if card := re.match(r"GPU (\d+):", line):
            cards.append(card[1])
        elif part := re.match(r"\s+MIG .*\(UUID: (MIG-[^)]+)\)", line):
            if cards and cards[-1].isdigit():
                cards.pop()
            cards.append(part[1])
    return tuple(cards)


def socket_base() -> Path:
    """The folder for the directories of runs. Not XDG_RUNTIME_DIR, which goes when the user logs out."""
    base = tempfile.gettempdir()
    return Path(base if len(os.fsencode(base)) <= _SOCKET_DIR_LIMIT else "/tmp")


def why_not_warm() -> str | None:
    """Why this machine cannot run warm workers, as part of a sentence; None if it can."""
    try:
        os.close(os.pidfd_open(os.getpid()))
    except (AttributeError, OSError):
        return "this system cannot watch another process end (pidfd_open: Linux 5.3 or later)"
    return None
