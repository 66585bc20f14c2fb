"""Bars of the downloads of a run, for its console: size, speed and time left of each."""

import time
from collections.abc import Callable, Sequence

from rich.console import RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from regionflow.run.progress import duration
from regionflow.weights.progress import Download


class Downloads:
    """What is known of downloads from one look to the next: how fast they are."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        columns = TextColumn("{task.description}"), BarColumn(bar_width=30), DownloadColumn(), TransferSpeedColumn()
        self._bars = Progress(*columns, TimeRemainingColumn(compact=True), get_time=clock)
        self._tasks: dict[str, TaskID] = {}

    def look(self, downloads: Sequence[Download]) -> bool:
        """Take note of the downloads that are under way; whether there are any, or were at the last look."""
        names, before = {download.name for download in downloads}, set(self._tasks)
        for name in before - names:
            self._bars.remove_task(self._tasks.pop(name))
        for download in downloads:
            if download.name not in before:  # what was there before is not counted into the speed
                self._tasks[download.name] = self._bars.add_task(
                    download.name, total=download.whole, completed=download.there
                )
            self._bars.update(self._tasks[download.name], total=download.whole, completed=download.there)
        return bool(names | before)

    @property
    def are_none(self) -> bool:
        """Whether there are none at the last look."""
        return not self._tasks

    def table(self) -> RenderableType:
        """The bars, for a terminal."""
        return self._bars.get_renderable()

    def line(self) -> str:
        """The same for a log."""
        return "; ".join(_said(task) for task in self._bars.tasks)


def _said(task: Task) -> str:
    size = f"{task.completed / 1e6:.0f}"
    if task.total:
        size += f" of {task.total / 1e6:.0f} MB ({task.completed / task.total:.0%})"
    else:
        size += " MB"
    parts = [f"downloading {task.description}: {size}"]
    if task.speed:
        parts.append(f"{task.speed / 1e6:.1f} MB/s")
    if task.time_remaining:
        parts.append(f"{duration(task.time_remaining)} left")
    return ", ".join(parts)
