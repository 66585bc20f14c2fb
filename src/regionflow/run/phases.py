"""The phases of a run in shards: which files of single images can be made together, and what stands between them.

A step is a rule with all names of its paths but the image's. Steps of single images that wait for the same files of the
whole set are one phase, which is made shard by shard; the steps of the whole set between two of them are one as well.
Everything follows from the rules' inputs: a new stage or target needs no entry here.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache

from regionflow.base.options import canonical_json


@dataclass(frozen=True)
class Step:
    """One rule for one set of names.

    per_image: whether it makes files of one image.
    outputs: paths that stay, those of single images with {image} in them.
    recorded: all that Snakemake compares between runs to find the outputs stale, as text.
    needs: one path of every file that the step reads, as it is for one image; files that no step makes are left out.
    """

    rule: str
    names: tuple[tuple[str, str], ...]
    per_image: bool
    outputs: tuple[str, ...]
    recorded: str = ""
    needs: tuple[str, ...] = ()


Find = Callable[[str], Step | None]
"""The step that makes a file; None for a file that must be there."""


@dataclass(frozen=True)
class Phase:
    """Steps that are made by one inner run for each shard, or by one for the whole set.

    name: names its summaries; the same for the same files, whatever their options.
    patterns: what it makes, files of single images with {image} in them.
    rules: those that may run.
    after: the phases whose summaries it waits for.
    reads: phases by images whose files a step of the whole set reads, for each pattern.
    files: files of the whole set that the outer run makes itself and that this phase waits for.
    jobs: steps of each rule: jobs for an image, or for the set.
    recorded: a hash of all that Snakemake compares of its steps.
    single: whether it makes files of some images that were asked for by name, and nothing else.
    """

    name: str
    per_image: bool
    patterns: tuple[str, ...]
    rules: tuple[str, ...]
    after: tuple[str, ...]
    reads: tuple[tuple[str, str], ...]
    files: tuple[str, ...]
    jobs: tuple[tuple[str, int], ...] = ()
    recorded: str = ""
    single: bool = False


@dataclass(frozen=True)
class Plan:
    """The phases in an order in which they can run, and the files that the outer run makes itself."""

    phases: dict[str, Phase]
    files: tuple[str, ...]


def plan(targets: Iterable[str], single: Iterable[str], find: Find) -> Plan:
    """The phases that make the files.

    Args:
        targets: files of the set, or of one image for files that are wanted of every image.
        single: files of single images that are wanted of that image alone.
        find: gives the step that makes a file.
    """
    graph = _Graph(find)
    wanted = [step for step in map(find, targets) if step is not None]
    reached = graph.reached(wanted)
    alone = [step for step in graph.reached([s for s in map(find, single) if s is not None], into_set=False)]
    reached = graph.reached([*wanted, *(step for step in alone if not step.per_image and graph.about_images(step))])
    files = [
        file
        for step in [*wanted, *alone]
        if not step.per_image and not graph.about_images(step)
        for file in step.outputs
    ]
    phases: dict[str, Phase] = {}
    of_step: dict[Step, str] = {}
    by_level: dict[int, list[Step]] = {}
    for step in reached:
        if graph.about_images(step):
            by_level.setdefault(graph.level(step), []).append(step)
    for level in sorted(by_level):
        phase = _phase(by_level[level], graph, of_step)
        phases[phase.name] = phase
        of_step |= dict.fromkeys(by_level[level], phase.name)
    rest = [step for step in alone if step.per_image and step not in of_step]
    if rest:
        phase = _phase(rest, graph, of_step, tuple(dict.fromkeys(single)))
        phases[phase.name] = phase
    return Plan(phases, tuple(dict.fromkeys(files)))


def waits_for_the_set(single: Iterable[str], find: Find) -> bool:
    """Whether a file of one image needs a file that is made from all images."""
    graph = _Graph(find)
    steps = graph.reached([step for step in map(find, single) if step is not None], into_set=False)
    return any(not step.per_image and graph.about_images(step) for step in steps)


class _Graph:
    def __init__(self, find: Find) -> None:
        self.find = cache(find)
        self.level = cache(self._level)
        self.about_images = cache(self._about_images)

    def needs(self, step: Step) -> list[Step]:
        found = (self.find(file) for file in step.needs)
        return list(dict.fromkeys(step for step in found if step is not None))

    def reached(self, steps: Iterable[Step], into_set: bool = True) -> list[Step]:
        """The steps and all that they need, in order; not into_set: nothing beyond a step of the whole set."""
        seen: dict[Step, None] = {}
        waiting = list(steps)
        while waiting:
            step = waiting.pop(0)
            if step not in seen:
                seen[step] = None
                waiting += self.needs(step) if into_set or step.per_image else []
        return list(seen)

    def _about_images(self, step: Step) -> bool:
        """Whether a step makes files of images, or needs some: the others are the outer run's own."""
        return step.per_image or any(map(self.about_images, self.needs(step)))

    def _level(self, step: Step) -> int:
        """Even for files of single images, odd for files of the whole set."""
        level = 0 if step.per_image else 1
        for need in self.needs(step):
            if self.about_images(need):
                below = self.level(need)
                level = max(level, below + (need.per_image != step.per_image))
        return level


def _phase(steps: list[Step], graph: _Graph, of_step: dict[Step, str], single: tuple[str, ...] = ()) -> Phase:
    """One phase of these steps; `of_step` has the phases of those before it. `single`: all that it makes."""
    inside = set(steps)
    needed = {need for step in steps for need in graph.needs(step)}
    after = [of_step[need] for step in steps for need in graph.needs(step) if need in of_step]
    files = [file for step in needed if not graph.about_images(step) for file in step.outputs]
    patterns = single or tuple(dict.fromkeys(file for step in steps for file in step.outputs))
    per_image = steps[0].per_image and not single
    reads = {
        pattern: of_step[need]
        for step in steps
        if not step.per_image
        for need in graph.needs(step)
        if need.per_image and need in of_step
        for pattern in need.outputs
    }
    rules = tuple(sorted({step.rule for step in steps}))
    ends = [step.rule for step in steps if step not in {n for s in inside for n in graph.needs(s) if s != step}]
    identity = canonical_json([sorted(patterns), rules, sorted(set(after)), sorted(set(files))])
    recorded = canonical_json(sorted([step.rule, list(step.names), step.recorded] for step in steps))
    return Phase(
        name="-".join([*sorted(set(ends))[:3], _hash(identity)[:8]]),
        per_image=per_image,
        patterns=patterns,
        rules=rules,
        after=tuple(sorted(set(after))),
        reads=tuple(sorted(reads.items())),
        files=tuple(sorted(set(files))),
        jobs=tuple(Counter(step.rule for step in steps).items()),
        recorded=_hash(recorded),
        single=bool(single),
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
