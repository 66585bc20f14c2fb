"""Jobs that wait for a slot within one process, and the threads that hand them to residents.

Jobs of one kind (a stage and its variant) that are short or for a card go to a resident several at a time: it then has
the next one when one is over, whatever the process that dispatches is busy with.
"""

import contextlib
import itertools
import os
import resource
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from regionflow.run import client

LONG = 1.0
SECONDS = 0.3
"""How long a request of several jobs should take: a slot is not blocked for long, and a pause between is small."""
ENOUGH_FILES = 8192
"""Open files that a process is allowed, where the system lets it: more than all slots of a large machine need."""
OTHER_FILES = 32
"""Open files that are none of a job's log: sockets, locks, libraries, what a stage reads and writes."""
FOR_A_CARD = 8
"""Jobs in a request to a slot with a card, however long they are: images are read and files written beside its work."""


@dataclass(frozen=True)
class Work:
    """One job that waits.

    Args:
        job: as JSON (regionflow.run.job).
        log: the file that takes what it prints.
        pool: "gpu" or "cpu", whose slots it wants.
        kind: what jobs that may go together have in common; the number of threads is part of it.
        needs: of the things of which there is only so much, cores for instance.
        tmpdir: folder for its temporary files.
        told: what is called when it is over, with "" or what went wrong.
    """

    job: bytes
    log: Path
    pool: str
    kind: Hashable
    needs: Mapping[str, int]
    tmpdir: str
    told: Callable[[str], None]


@dataclass
class Paces:
    """About how many seconds a job of each kind takes, from those that were done; `most` is the limit of a request."""

    _seconds: dict[Hashable, float] = field(default_factory=dict)
    _on_card: set[Hashable] = field(default_factory=set)
    most: int = client.MOST

    def learn(self, kind: Hashable, seconds: float, on_card: bool = False) -> None:
        """A job took that long, in a slot with a card or without; the first ones also load code and models."""
        if on_card:
            self._on_card.add(kind)
        before = self._seconds.get(kind, seconds)
        self._seconds[kind] = seconds if seconds < before else 0.7 * before + 0.3 * seconds

    def at_once(self, kind: Hashable) -> int:
        """How many jobs of the kind one request should have."""
        seconds = self._seconds.get(kind)
        if seconds is None:
            return 1
        of_pace = int(SECONDS / max(seconds, 1e-6))
        return min(self.most, max(FOR_A_CARD if kind in self._on_card else 1, of_pace))

    def ahead(self, kind: Hashable) -> int:
        """How many jobs of the kind may wait for a slot or be in it: two requests of short ones or for a card."""
        return 2 * self.at_once(kind) if self._seconds.get(kind, LONG) < LONG or kind in self._on_card else 1


def most_in_a_request(slots: int) -> int:
    """How many jobs the limit of open files lets a request of each slot have; the limit is raised as far as it can be.

    A resident has two files for the log of each of its jobs, this process one for each of all.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < ENOUGH_FILES:
        soft = ENOUGH_FILES if hard == resource.RLIM_INFINITY else max(soft, min(hard, ENOUGH_FILES))
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    room = ENOUGH_FILES if soft == resource.RLIM_INFINITY else soft
    return max(1, min(client.MOST, (room - OTHER_FILES) // (4 * max(1, slots))))


PACES = Paces()
"""Of this run; it is empty with another executor."""


class Dispatcher:
    """Hands jobs to the residents of this run's slots.

    Args:
        capacity: how much there is of what jobs need.
        idle: called when a slot finds that nothing waits.
    """

    def __init__(self, capacity: Mapping[str, int], idle: Callable[[], None] = lambda: None) -> None:
        self._idle = idle
        self._free = Counter(capacity)
        self._capacity = dict(capacity)
        self._waiting: list[Work] = []
        self._changed = threading.Condition()
        self._threads: dict[str, list[threading.Thread]] = {}
        self._watchers: list[subprocess.Popen[bytes]] = []
        self._over = False
        self._number = itertools.count(1)
        PACES.most = most_in_a_request(sum(int(os.environ[f"REGIONFLOW_{pool}_SLOTS"]) for pool in ("GPU", "CPU")))

    @property
    def has_waiting(self) -> bool:
        """Whether there are jobs that no slot has begun with."""
        return bool(self._waiting)

    def submit(self, jobs: Collection[Work]) -> None:
        """Have jobs done; each is told when it is over. Threads are started as they are needed."""
        with self._changed:
            self._waiting += jobs
            for pool in {client.slots_of(job.pool)[0] for job in jobs}:
                threads = self._threads.setdefault(pool, [])
                for _ in range(len(threads), client.slots_of(pool)[1]):
                    threads.append(threading.Thread(target=self._serve, args=(pool,), daemon=True))
                    threads[-1].start()
            self._changed.notify_all()

    @contextlib.contextmanager
    def taken(self, needs: Mapping[str, int], wait: bool = True) -> Iterator[None]:
        """What a job needs that runs elsewhere is not free while the block runs; by default it waits until it is."""
        with self._changed:
            while wait and not self._over and not self._fits(needs):
                self._changed.wait()
            self._free.subtract(needs)
        try:
            yield
        finally:
            self._give_back(needs)

    def end(self) -> None:
        """End everything now: waiting jobs, and the residents at work."""
        with self._changed:
            self._over = True
            dropped, self._waiting = self._waiting, []
            self._changed.notify_all()
            for watcher in self._watchers:
                with contextlib.suppress(ProcessLookupError):
                    watcher.terminate()  # it kills the resident, and our thread sees it go
        for work in dropped:
            work.told("The run ended before the job could start.")
        for thread in itertools.chain(*self._threads.values()):
            thread.join(timeout=10)

    def _fits(self, needs: Mapping[str, int]) -> bool:
        """Whether there is enough; what is more than all there is must do with all there is."""
        return all(self._free[name] >= min(need, self._capacity[name]) for name, need in needs.items())

    def _give_back(self, needs: Mapping[str, int]) -> None:
        with self._changed:
            self._free.update(needs)
            self._changed.notify_all()

    def _serve(self, pool: str) -> None:
        """Work on request after request of one pool; the slot is kept while there is more."""
        while request := self._next(pool):
            try:
                client.make_private(os.environ["REGIONFLOW_RUN_DIR"])
                slot = client.Slot(pool, over=lambda: self._over)
            except (client.Trouble, OSError) as trouble:
                self._give_back(request[0].needs)
                for work in request:
                    work.told(str(trouble))
                continue
            slot.started = self._watchers.append
            with slot:
                while request:
                    self._do(slot, request)
                    self._give_back(request[0].needs)
                    request = self._next(pool, wait=False)

    def _next(self, pool: str, wait: bool = True) -> list[Work]:
        """The first job that there is enough for, and others of its kind; nothing at the end of the run."""
        with self._changed:
            while not self._over:
                mine = [work for work in self._waiting if client.slots_of(work.pool)[0] == pool]
                first = next((work for work in mine if self._fits(work.needs)), None)
                if first is not None:
                    alike = [work for work in mine if work.kind == first.kind]
                    share = -(-len(alike) // len(self._threads[pool]))
                    request = alike[: max(1, min(share, PACES.at_once(first.kind)))]
                    taken = set(map(id, request))
                    self._waiting = [work for work in self._waiting if id(work) not in taken]
                    self._free.subtract(first.needs)
                    return request
                if not self._waiting:
                    self._idle()
                if not wait:
                    break
                self._changed.wait()
        return []

    def _do(self, slot: client.Slot, request: list[Work]) -> None:
        """Have the jobs done, and tell each of them once, whatever happens."""
        begin, untold, works = time.monotonic(), list(request), dict[client.Task, Work]()

        def tell(task: client.Task) -> None:
            untold.remove(works[task])
            works[task].told(task.error)

        with contextlib.ExitStack() as files:
            try:
                for work in request:
                    log = files.enter_context(work.log.open("wb", buffering=0)).fileno()
                    works[client.Task(work.job, log, log)] = work
                for task in works:
                    if task.refused_before():
                        tell(task)
                slot.do([task for task in works if not task.over], request[0].tmpdir, self._token, tell)
                PACES.learn(request[0].kind, (time.monotonic() - begin) / len(request), bool(slot.card))
            except (client.Trouble, OSError) as trouble:
                for task in works:
                    if not task.over:
                        task.end(str(trouble))
                for work in list(untold):
                    work.told(str(trouble))

    def _token(self) -> str:
        return f"{os.getpid()}-{next(self._number)}"
