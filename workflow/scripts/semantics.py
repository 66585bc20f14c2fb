"""Rule semantics: one image's regions to their class names."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from regionflow.base.errors import BadFile
from regionflow.base.kinds import read_kind
from regionflow.formats.classifiers import read_classifier
from regionflow.formats.labels import read_label_map, write_label_map
from regionflow.formats.pooled import read_pooled
from regionflow.formats.regions import RegionFile, read_regions
from regionflow.formats.semantics import Semantics, read_semantics, write_semantics
from regionflow.run.adapters import generator, labeler_of, open_image
from regionflow.run.job import Job
from regionflow.semantics.fuse import fuse
from regionflow.semantics.kinds import LabelerKind
from regionflow.semantics.renamed import Renamed
from regionflow.semantics.renamed_options import RenamedOptions
from regionflow.semantics.seen import Seen
from regionflow.semantics.shipped import known_things
from regionflow.semantics.tables import read_tables


def run(job: Job) -> None:
    regions = read_regions(job.input("regions"), job.names["image"])
    if regions.image.error is not None:
        nothing = {"regions": 0.0, "dense": 0.0, "none": 0.0}
        semantics, labels = _of(job, regions, [], [], nothing), np.zeros((0, 0), np.uint16)
    else:
        options = read_kind(LabelerKind, job.options["labeler"])
        semantics, labels = (_renamed if isinstance(options, RenamedOptions) else _named)(job, regions)
    write_label_map(job.outputs["map"], labels, job.names["image"])
    write_semantics(job.outputs["table"], semantics)


def _named(job: Job, regions: RegionFile) -> tuple[Semantics, NDArray[np.integer]]:
    """By a labeler."""
    name = job.names["image"]
    image = open_image(job)[0] if "image" in job.inputs else None
    features = read_pooled(job.input("pooled"), name, regions.sha256) if "pooled" in job.inputs else None
    classifier = read_classifier(job.input("classifier")) if "classifier" in job.inputs else None
    labeler, options = labeler_of(job)
    scores = labeler.label(Seen(regions, image, features, classifier))
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
