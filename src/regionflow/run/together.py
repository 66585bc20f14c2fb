"""Several jobs at once in one process: a stage that can work on them together, and what it is given for that.

An adapter with `run_together(jobs, working)` is given the jobs of a request in place of `run(job)` for each, where
there is a card. All that it does for one job stands in `with working(job):`, so that it prints to that job's log and
fails that job alone, in whatever thread; `working.done(job)` says that its outputs are written. `Steps` has both
functions, for a stage that reads an image, has a model work on it, and writes what comes of it.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from regionflow.base import pipeline
from regionflow.base.errors import UserError
from regionflow.base.later import Beside, Later, OnCard, at_once
from regionflow.run.job import Job

AT_A_TIME = 16
"""Jobs with which a card begins at once, at most; as many are read ahead."""

M = TypeVar("M")
S = TypeVar("S")
T = TypeVar("T")
Image = NDArray[np.uint8] | None


class Working(Protocol):
    """What a job prints and raises within the block is its own."""

    def __call__(self, job: Job) -> AbstractContextManager[None]:
        """The block in which something is done for the job; it ends quietly where the job fails."""
        ...

    def done(self, job: Job, left: int = 1) -> None:
        """The outputs of the job are written; it was one of `left` that were worked on together and are not done."""
        ...


@dataclass(frozen=True)
class Steps(Generic[M, S, T]):
    """The steps of a stage that works image by image with a model.

    read: the image [H, W, 3] of a job, None if there is none to work on, and what else is known of it then.
    model: the model of a job; the same for jobs of one kind.
    begin: begin with the images of some jobs, and for each what is left to do on the card.
    write: write the outputs of a job from what is known of it and the result; None for a job without an image.
    """

    read: Callable[[Job], tuple[Image, S]]
    model: Callable[[Job], M]
    begin: Callable[[M, Sequence[tuple[NDArray[np.uint8], S]]], Sequence[OnCard[T]]]
    write: Callable[[Job, S, T | None], None]

    def run(self, job: Job) -> None:
        """One job, step by step."""
        image, known = self.read(job)
        made = None
        if image is not None:
            made = self.begin(self.model(job), [(image, known)])[0](at_once)()
        self.write(job, known, made)

    def run_together(self, jobs: Sequence[Job], working: Working) -> None:
        """Many jobs: images are read and results written beside the card's work on others."""
        together = _Together(self, working)
        steps = pipeline.Steps(together.read, together.size, together.begin, together.end)
        pipeline.run(steps, jobs, AT_A_TIME)


@dataclass
class _Member(Generic[S]):
    """A job that is being worked on; `left`: those of its batch that are not over."""

    job: Job
    image: NDArray[np.uint8]
    known: S
    left: list[int]


class _Together(Generic[M, S, T]):
    """The steps of many jobs, each of which fails by itself."""

    def __init__(self, steps: Steps[M, S, T], working: Working) -> None:
        self._steps, self._working = steps, working
        self._model: M | None = None

    def read(self, job: Job) -> _Member[S] | None:
        """Read the image; a job without one is done."""
        with self._working(job):
            image, known = self._steps.read(job)
            if image is not None:
                return _Member(job, image, known, [1])
            self._steps.write(job, known, None)
            self._working.done(job)
        return None

    def size(self, member: _Member[S]) -> int:
        """Bytes of an image."""
        return member.image.nbytes

    def begin(self, members: Sequence[_Member[S]]) -> list[tuple[_Member[S], Callable[[Beside], Later[T] | None]]]:
        """Begin with some; where they fail together each is tried by itself."""
        if self._model is None and not self._has_model(members):
            return []
        try:
            begun = self._steps.begin(self._model, [(member.image, member.known) for member in members])  # type: ignore[arg-type]
        except UserError as error:
            if len(members) > 1:
                return [pair for member in members for pair in self.begin([member])]
            with self._working(members[0].job):
                raise error
            return []
        left = [len(members)]
        for member in members:
            member.left = left
        return [
            (member, partial(self._on_card, member, on_card)) for member, on_card in zip(members, begun, strict=True)
        ]

    def _has_model(self, members: Sequence[_Member[S]]) -> bool:
        """Load the model. What is wrong with it is every job's failure."""
        trouble: Exception | None = None
        with self._working(members[0].job):
            try:
                self._model = self._steps.model(members[0].job)
            except Exception as error:
                trouble = error
                raise
        if trouble is not None:
            for member in members[1:]:
                with self._working(member.job):
                    raise trouble
        return trouble is None

    def _on_card(self, member: _Member[S], on_card: OnCard[T], beside: Beside) -> Later[T] | None:
        with self._working(member.job):
            return on_card(beside)
        member.left[0] -= 1
        return None

    def end(self, member: _Member[S], later: Later[T]) -> None:
        """Write what was made."""
        with self._working(member.job):
            self._steps.write(member.job, member.known, later())
            self._working.done(member.job, member.left[0])
        member.left[0] -= 1
