"""What a job costs the process that runs it: wall time, CPU time, memory; measured, printed, recorded."""

import os
import resource
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from regionflow.formats.records import Record, append_record
from regionflow.run.models import ModelCache

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # of VmHWM; see proc(5)


class Meter:
    """Measures from its creation on what this process spends."""

    def __init__(self, models: ModelCache) -> None:
        self._models = models
        self._loads, self._load_seconds = models.loads, models.load_seconds
        with suppress(OSError):
            _CLEAR_REFS.write_text(_RESET_PEAK)
        if torch := _torch_with_card():
            torch.cuda.reset_peak_memory_stats()
        self._wall, self._cpu = time.monotonic(), time.process_time()

    def record(self, stage: str, names: Mapping[str, str], threads: int) -> Record:
        """What was spent until now, as the record of a job."""
        torch = _torch_with_card()
        return Record(
            stage=stage,
            names=dict(names),
            seconds=time.monotonic() - self._wall,
            cpu_seconds=time.process_time() - self._cpu,
            load_seconds=self._models.load_seconds - self._load_seconds,
            peak_mib=peak_mib(),
            card_mib=torch.cuda.max_memory_allocated() / 2**20 if torch else 0.0,
            slot=os.environ["REGIONFLOW_SLOT"],
            threads=threads,
            batch=1,
            ended=time.time(),
        )

    def loads(self) -> int:
        """Models loaded until now."""
        return self._models.loads - self._loads


def tell(record: Record, loads: int) -> None:
    """Print a record as a line for the log of its job, and append it to the records of the stage."""
    where = f"{record.slot} (process {os.getpid()}, {record.peak_mib / 1024:.2f} GiB at most)"
    print(f"{record.stage}: {record.seconds:.3f} s in {where}; models loaded: {loads}")
    try:
        append_record(record)
    except OSError as error:  # a disk that is full or read-only: the job's own files are what counts
        print(f"what the job cost could not be recorded: {error}", file=sys.stderr)


def peak_mib() -> float:
    """Largest resident memory since the last job began (Linux) or since the process began, in MiB."""
    with suppress(OSError, StopIteration, ValueError):
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _torch_with_card() -> Any:
    """Torch, where it has been loaded and has begun to use a card."""
    torch = sys.modules.get("torch")
    return torch if torch is not None and torch.cuda.is_initialized() else None
