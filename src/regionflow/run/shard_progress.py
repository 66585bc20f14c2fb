"""How far all inner runs are together: each writes what it has done, and the console of the outer run adds it up."""

import json
import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from regionflow.base.files import write_text
from regionflow.run.inner import FOLDER, Inner
from regionflow.run.phases import Phase
from regionflow.run.progress import Tally

PROGRESS = FOLDER / "progress"


@dataclass(frozen=True)
class Expected:
    """One job of the outer run: what its inner run has to look after, whether it is stale or not.

    images: of the shard, or those that a phase of single images may be asked for; 0 for the whole set.
    """

    phase: Phase
    shard: str
    images: int

    @property
    def name(self) -> str:
        """The phase for people: its last rules."""
        return self.phase.name.rpartition("-")[0]

    def jobs(self) -> dict[str, int]:
        """Jobs per rule if everything is to be made."""
        return {rule: number * (self.images or 1) for rule, number in self.phase.jobs}


@dataclass
class Shards:
    """The inner runs of this run, by phase and shard."""

    expected: dict[tuple[str, str], Expected] = field(default_factory=dict)
    finished: set[tuple[str, str]] = field(default_factory=set)
    running: set[tuple[str, str]] = field(default_factory=set)

    def expect(self, jobs: Iterable[Expected]) -> None:
        """What this run is going to do; what earlier ones have written is forgotten."""
        self.expected = {(job.phase.name, job.shard): job for job in jobs}
        shutil.rmtree(PROGRESS, ignore_errors=True)

    def tally(self, begin: float) -> Tally:
        """The jobs of all inner runs together."""
        total, done, busy, failed = Counter[str](), Counter[str](), Counter[str](), 0
        for key, job in self.expected.items():
            jobs = job.jobs()
            total.update(jobs)
            report = _read(job) if key in self.running or key in self.finished else None
            if report is not None:
                left = {} if key in self.finished else report["left"]
                failed += 0 if key in self.finished else report["failed"]
                done.update({rule: number - left.get(rule, 0) for rule, number in jobs.items()})
                for rule, seconds in report["busy"].items():
                    busy[rule] += seconds
            elif key in self.finished:
                done.update(jobs)
        tally = Tally(dict(total), begin, done=done, failed=set(range(failed)))
        tally.busy.update(busy)
        return tally

    def images(self) -> str:
        """How many images have reached the end of each phase: `images: 1200/5000 to pooled, 0/5000 to overlay`."""
        total, done = Counter[str](), Counter[str]()
        for key, job in self.expected.items():
            if not job.phase.per_image:
                continue
            total[job.name] += job.images
            report = _read(job) if key in self.running else None
            if key in self.finished:
                done[job.name] += job.images
            elif report is not None:
                done[job.name] += max(0, job.images - max(report["left"].values(), default=0))
        parts = (f"{done[name]}/{number} to {name}" for name, number in total.items())
        return f"images: {', '.join(parts)}" if total else ""


SHARDS = Shards()
"""Of this process, if it is an outer run: set by its Snakefile, read by its console."""


def report(inner: Inner, tally: Tally) -> None:
    """Write what an inner run has still to do, and how long its jobs took."""
    left = {rule: total - tally.done[rule] for rule, total in tally.total.items()}
    content = {"left": left, "busy": dict(tally.busy), "failed": len(tally.failed)}
    write_text(PROGRESS / inner.phase.name / f"{inner.shard}.json", json.dumps(content))


def _read(job: Expected) -> Any:
    """What an inner run wrote last; None before it has planned."""
    try:
        return json.loads((PROGRESS / job.phase.name / f"{job.shard}.json").read_bytes())
    except (OSError, ValueError):
        return None
