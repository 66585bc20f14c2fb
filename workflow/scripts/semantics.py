"""Rule semantics: one image's regions to their class names, or several images' to theirs on a card."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from regionflow.base.errors import BadFile, UserError
from regionflow.base.kinds import read_kind
from regionflow.base.later import Beside, Later, OnCard
from regionflow.base.options import Kind
from regionflow.formats.classifiers import read_classifier
from regionflow.formats.labels import read_label_map, write_label_map
from regionflow.formats.pooled import read_pooled
from regionflow.formats.regions import RegionFile, read_regions
from regionflow.formats.semantics import Semantics, read_semantics, write_semantics
from regionflow.run.adapters import generator, labeler_of, open_image
from regionflow.run.job import Job
from regionflow.run.together import Steps, Working
from regionflow.semantics.fuse import LabelScores, fuse
from regionflow.semantics.kinds import Labeler, LabelerKind
from regionflow.semantics.options import LabelerOptions
from regionflow.semantics.renamed import Renamed
from regionflow.semantics.renamed_options import RenamedOptions
from regionflow.semantics.seen import Seen
from regionflow.semantics.shipped import known_things
from regionflow.semantics.tables import read_tables


def run(job: Job) -> None:
    if isinstance(_options(job), RenamedOptions):
        regions = read_regions(job.input("regions"), job.names["image"])
        _write_both(job, *(_renamed(job, regions) if regions.image.error is None else _nothing(job, regions)))
        return
    _, known = _read(job)
    _write(job, known, None if known.regions.image.error else labeler_of(job)[0].label(known))


def can_work_together(job: Job) -> bool:
    """Whether the labeler is one for a card, which looks at images."""
    return _options(job).uses_card and "image" in job.inputs


def run_together(jobs: Sequence[Job], working: Working) -> None:
    Steps(_read, labeler_of, _begin, _write).run_together(jobs, working)


def _options(job: Job) -> Kind:
    return read_kind(LabelerKind, job.options["labeler"])


def _read(job: Job) -> tuple[NDArray[np.uint8] | None, Seen]:
    """What the labeler sees; the image once more by itself, None if there is nothing to name."""
    name = job.names["image"]
    regions = read_regions(job.input("regions"), name)
    if regions.image.error is not None:
        return None, Seen(regions)
    image = open_image(job)[0] if "image" in job.inputs else None
    if image is None and "image" in job.inputs:
        raise UserError(f"{job.input('image')}: has regions, but cannot be read any more; run snakemake again")
    features = read_pooled(job.input("pooled"), name, regions.sha256) if "pooled" in job.inputs else None
    classifier = read_classifier(job.input("classifier")) if "classifier" in job.inputs else None
    return image, Seen(regions, image, features, classifier)


def _begin(
    model: tuple[Labeler, LabelerOptions], images: Sequence[tuple[NDArray[np.uint8], Seen]]
) -> list[OnCard[LabelScores]]:
    """Labelers work on one image at a time; others are read, and their maps made and written, beside that."""
    return [partial(_scores, model[0], seen) for _, seen in images]


def _scores(labeler: Labeler, seen: Seen, beside: Beside) -> Later[LabelScores]:
    scores = labeler.label(seen)
    return lambda: scores


def _write(job: Job, seen: Seen, scores: LabelScores | None) -> None:
    _write_both(job, *(_nothing(job, seen.regions) if scores is None else _fused(job, seen.regions, scores)))


def _write_both(job: Job, semantics: Semantics, labels: NDArray[np.integer]) -> None:
    write_label_map(job.outputs["map"], labels, job.names["image"])
    write_semantics(job.outputs["table"], semantics)


def _nothing(job: Job, regions: RegionFile) -> tuple[Semantics, NDArray[np.integer]]:
    """Of an image that could not be read."""
    return _of(job, regions, [], [], {"regions": 0.0, "dense": 0.0, "none": 0.0}), np.zeros((0, 0), np.uint16)


def _fused(job: Job, regions: RegionFile, scores: LabelScores) -> tuple[Semantics, NDArray[np.integer]]:
    """The scores of regions and pixels as one class each."""
    options = _options(job)
    assert isinstance(options, LabelerOptions)
    things = known_things(scores.names)
    table = read_tables(options.tables, scores.names, things)
    classes = fuse(scores, regions.annotations, regions.size, options, table)
    names = list(scores.names) if table is None else table.targets
    semantics = _of(job, regions, names, classes.regions, classes.shares)
    return replace(semantics, things=things if table is None else table.things), classes.map


def _renamed(job: Job, regions: RegionFile) -> tuple[Semantics, NDArray[np.integer]]:
    """By what another labeler said and class tables."""
    name, path = job.names["image"], job.input("names")
    before = read_semantics(path, name)
    if before.regions_sha256 != regions.sha256:
        raise BadFile(f"{path}: it is about other regions than {job.input('regions')}; run snakemake again")
    options = read_kind(LabelerKind, job.options["labeler"])
    assert isinstance(options, RenamedOptions)
    after, labels = Renamed(options).rename(before, read_label_map(job.input("named"), name, regions.size))
    return replace(after, generator=generator(job)), labels


def _of(job: Job, regions: RegionFile, names, classes, shares) -> Semantics:
    return Semantics(regions.image, names, classes, shares, generator(job), regions.sha256)
