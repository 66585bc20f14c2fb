"""How far a run is: jobs done per stage, images per second, time left, failures; as a table or as one line."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from rich.console import Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text


@dataclass
class Tally:
    """Counts of the jobs of one run by stage, in the order of the stages; times in seconds of any one clock."""

    total: dict[str, int]
    begin: float
    done: Counter[str] = field(default_factory=Counter)
    busy: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    failed: set[int] = field(default_factory=set)
    _running: dict[int, tuple[str, float]] = field(default_factory=dict)

    def started(self, job: int, stage: str, now: float) -> None:
        """A job of the stage was started, perhaps for the second time."""
        self._running[job] = stage, now

    def finished(self, job: int, now: float) -> None:
        """The job succeeded."""
        stage, begin = self._running.pop(job, ("", now))
        if stage not in self.total:
            return
        self.done[stage] += 1
        self.busy[stage] += now - begin
        self.failed.discard(job)

    def lost(self, job: int) -> None:
        """The job failed; it counts as failed until a retry succeeds."""
        self._running.pop(job, None)
        self.failed.add(job)

    def seconds_left(self, now: float) -> float | None:
        """Work left by the mean time of each stage's jobs so far, at the present parallelism; None before any is done.

        A stage of which nothing is done yet is taken to cost as much per job as the others do on average.
        """
        finished, busy = sum(self.done.values()), sum(self.busy.values())
        if not finished or busy <= 0:
            return None
        mean = {stage: self.busy[stage] / n if (n := self.done[stage]) else busy / finished for stage in self.total}
        work = sum((self.total[stage] - self.done[stage]) * mean[stage] for stage in self.total)
        return work * (now - self.begin) / busy

    def images_per_second(self, stage: str, now: float) -> float:
        """Finished jobs of a per-image stage per second of the run."""
        return self.done[stage] / max(now - self.begin, 1e-9)

    def all_done(self) -> bool:
        """Whether every job has succeeded."""
        return all(self.done[stage] >= total for stage, total in self.total.items())

    def summary(self, now: float, over: bool = False) -> str:
        """All stages in one sentence: `120/606 jobs, 3 min left, 0 failed`; over: the run is, and nothing is left."""
        left = None if over else self.seconds_left(now)
        parts = [f"{sum(self.done.values())}/{sum(self.total.values())} jobs"]
        if left is not None and not self.all_done():
            parts.append(f"{duration(left)} left")
        return ", ".join([*parts, f"{len(self.failed)} failed"])

    def line(self, now: float, more: str = "", over: bool = False) -> str:
        """The same with every stage that has begun and is not done, for a log; `more` stands behind the first."""
        active = [
            f"{stage} {self.done[stage]}/{total} ({self.images_per_second(stage, now):.1f}/s)"
            for stage, total in self.total.items()
            if 0 < self.done[stage] < total
        ]
        return "; ".join(filter(None, [self.summary(now, over), more, *active]))

    def table(self, now: float, more: str = "") -> RenderableType:
        """The same as a table with a bar for each stage, for a terminal; `more` stands at its foot."""
        table = Table.grid(padding=(0, 1))
        for stage, total in self.total.items():
            done = self.done[stage]
            rate = f"{self.images_per_second(stage, now):.1f}/s" if total > 1 and done else ""
            table.add_row(stage, ProgressBar(total=total, completed=done, width=30), f"{done}/{total}", rate)
        foot = "; ".join(filter(None, [self.summary(now), more]))
        return Group(table, Text(foot, style="bold red" if self.failed else "bold"))


def stages_of(stats: Mapping[str, int]) -> dict[str, int]:
    """Snakemake's job counts without their sum and without the targets that only collect."""
    return {stage: count for stage, count in stats.items() if stage not in ("total", "all", "wanted")}


def duration(seconds: float) -> str:
    """About how long, for people: `40 s`, `3 min`, `2.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 90 * 60 else f"{seconds / 3600:.1f} h"
