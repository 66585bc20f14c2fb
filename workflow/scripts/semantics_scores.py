"""Rule semantics_scores: the class names of one variant against those of the ground truth."""

import numpy as np

from regionflow.evaluate.sets import NamedRegions, places, semantics_scores
from regionflow.formats.labels import read_label_map
from regionflow.formats.layout import for_image
from regionflow.formats.regions import read_regions
from regionflow.formats.rle import to_label_map
from regionflow.formats.semantics import read_semantics
from regionflow.run.evaluation import opened, write
from regionflow.run.job import Job


def run(job: Job) -> None:
    rows, truth, _ = opened(job)

    def named(image: str, classes: list[str]) -> NamedRegions:
        semantics = read_semantics(for_image(job.input("semantics"), image), image)
        regions = read_regions(for_image(job.input("regions"), image), image)
        # In the files 0 is no class and no region.
        place = np.concatenate([[-1], places(semantics.classes, classes)]).astype(np.int64)
        masks = [a["segmentation"] for a in regions.annotations]
        segments = to_label_map(masks, range(1, len(masks) + 1), *regions.size).astype(np.int64) - 1
        of_segment = place[np.array([region.value for region in semantics.regions], np.int64)]
        by_pixel = read_label_map(for_image(job.input("maps"), image), image, regions.size)
        return NamedRegions(place[by_pixel], segments, of_segment)

    write(job, truth, *semantics_scores(rows, truth, named))
