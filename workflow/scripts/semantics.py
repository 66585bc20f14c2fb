"""Rule semantics: one image's regions to their class names."""

import numpy as np

from regionflow.formats.classifiers import read_classifier
from regionflow.formats.labels import write_label_map
from regionflow.formats.pooled import read_pooled
from regionflow.formats.regions import read_regions
from regionflow.formats.semantics import Semantics, write_semantics
from regionflow.run.adapters import generator, labeler_of, open_image
from regionflow.run.job import Job
from regionflow.semantics.fuse import fuse
from regionflow.semantics.seen import Seen
from regionflow.semantics.tables import read_tables


def run(job: Job) -> None:
    name = job.names["image"]
    regions = read_regions(job.input("regions"), name)
    image = open_image(job)[0] if "image" in job.inputs else None
    made_by = generator(job)
    if regions.image.error is not None:
        nothing = {"regions": 0.0, "dense": 0.0, "none": 0.0}
        write_label_map(job.outputs["map"], np.zeros((0, 0), np.uint16), name)
        nobody = Semantics(regions.image, [], [], nothing, made_by, regions.sha256)
        write_semantics(job.outputs["table"], nobody)
        return
    features = read_pooled(job.input("pooled"), name, regions.sha256) if "pooled" in job.inputs else None
    classifier = read_classifier(job.input("classifier")) if "classifier" in job.inputs else None
    labeler, options = labeler_of(job)
    scores = labeler.label(Seen(regions, image, features, classifier))
    table = read_tables(options.tables, scores.names)
    classes = fuse(scores, regions.annotations, regions.size, options, table)
    names = list(scores.names) if table is None else table.targets
    write_label_map(job.outputs["map"], classes.map, name)
    semantics = Semantics(regions.image, names, classes.regions, classes.shares, made_by, regions.sha256)
    write_semantics(job.outputs["table"], semantics)
