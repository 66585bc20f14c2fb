"""Rule parts_targets: one image and its part masks to the embedding of every mask."""

from regionflow.base.options import canonical_json
from regionflow.formats.parts import PartTargets, read_part_masks, write_part_targets
from regionflow.parts.options import EmbedderOptions
from regionflow.parts.pixels import square
from regionflow.parts.targets import Embedder, targets
from regionflow.run.adapters import open_image, provenance
from regionflow.run.devices import pick
from regionflow.run.job import Job


def run(job: Job) -> None:
    image, info = open_image(job)
    parts = read_part_masks(job.input("masks"), info.image_id)
    if image is None:
        write_part_targets(job.outputs["targets"], info.image_id, PartTargets.none(str(info.error)), provenance(job))
        return
    options, device = EmbedderOptions.model_validate(job.options["embedder"]), pick(job)
    key = ("embedder", canonical_json(job.options["embedder"]), job.options["weights_sha256"], device)
    embedder = job.models.get(key, lambda: Embedder(options, device))
    made = targets(embedder, square(image, parts.size), parts)
    write_part_targets(job.outputs["targets"], info.image_id, made, {**provenance(job), **embedder.provenance})
