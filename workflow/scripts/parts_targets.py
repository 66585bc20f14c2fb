"""Rule parts_targets: one image and its part masks to the embedding of every mask, or several to theirs on a card."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from regionflow.base.later import Beside, Later, OnCard
from regionflow.base.options import canonical_json
from regionflow.formats.parts import PartMasks, PartTargets, read_part_masks, write_part_targets
from regionflow.formats.regions import ImageInfo
from regionflow.parts.options import EmbedderOptions
from regionflow.parts.pixels import square
from regionflow.parts.targets import Embedder, targets
from regionflow.run.adapters import open_image, provenance
from regionflow.run.devices import pick
from regionflow.run.job import Job
from regionflow.run.together import Steps, Working

Known = tuple[ImageInfo, PartMasks]
Made = tuple[PartTargets, dict[str, str]]


def run(job: Job) -> None:
    STEPS.run(job)


def can_work_together(job: Job) -> bool:
    return True


def run_together(jobs: Sequence[Job], working: Working) -> None:
    STEPS.run_together(jobs, working)


def _read(job: Job) -> tuple[NDArray[np.uint8] | None, Known]:
    image, info = open_image(job)
    parts = read_part_masks(job.input("masks"), info.image_id)
    return (None if image is None else square(image, parts.size)), (info, parts)


def _embedder(job: Job) -> Embedder:
    """The embedder of the job; a resident process keeps its model."""
    options, device = EmbedderOptions.model_validate(job.options["embedder"]), pick(job)
    key = ("embedder", canonical_json(job.options["embedder"]), job.options["weights_sha256"], device)
    return job.models.get(key, lambda: Embedder(options, device))


def _begin(embedder: Embedder, images: Sequence[tuple[NDArray[np.uint8], Known]]) -> Sequence[OnCard[Made]]:
    begun = embedder.begin([image for image, _ in images], [parts.masks for _, (_, parts) in images])
    return [
        partial(_targets, on_card, parts, embedder.provenance)
        for on_card, (_, (_, parts)) in zip(begun, images, strict=True)
    ]


def _targets(on_card: OnCard[NDArray[np.float32]], parts: PartMasks, made_by: dict, beside: Beside) -> Later[Made]:
    embeddings = on_card(beside)
    return lambda: (targets(embeddings(), parts), made_by)


def _write(job: Job, known: Known, made: Made | None) -> None:
    info, _ = known
    parts, made_by = (PartTargets.none(str(info.error)), {}) if made is None else made
    write_part_targets(job.outputs["targets"], info.image_id, parts, {**provenance(job), **made_by})


STEPS = Steps(_read, _embedder, _begin, _write)
