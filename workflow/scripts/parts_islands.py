"""Rule parts_islands: one image's columns at every level and iteration as a picture, and their agreement."""

import numpy as np

from regionflow.base.options import canonical_json
from regionflow.formats.islands import Islands, label_maps, write_islands
from regionflow.formats.part_set import read_projection
from regionflow.formats.parts import read_part_masks, read_part_targets
from regionflow.formats.pictures import write_png
from regionflow.parts.pictures import islands, notice, picture, unroll
from regionflow.parts.pixels import normalised, square
from regionflow.parts.students import read_student
from regionflow.run.adapters import open_image
from regionflow.run.devices import pick
from regionflow.run.job import Job


def run(job: Job) -> None:
    image, info = open_image(job)
    parts = read_part_masks(job.input("masks"), info.image_id)
    if image is None:
        write_png(job.outputs["picture"], notice(f"{info.file_name}: {info.error}"))
        write_islands(job.outputs["islands"], info.image_id, Islands.none(info.error or "not read"))
        return
    path, device = job.input("model"), pick(job)
    key = ("student", canonical_json([str(path), path.stat().st_mtime_ns, path.stat().st_size]), device)
    student = job.models.get(key, lambda: read_student(path, device))
    pixels, targets = square(image, parts.size), read_part_targets(job.input("targets"), info.image_id)
    made = islands(unroll(student, normalised(pixels[None], device)), targets, read_projection(job.input("colours")))
    write_png(job.outputs["picture"], np.asarray(picture(pixels, made, label_maps(parts))))
    write_islands(job.outputs["islands"], info.image_id, made)
