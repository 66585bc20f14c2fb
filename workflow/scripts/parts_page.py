"""Rule parts_page: islands, their agreement and the training of the student to one HTML page."""

from pathlib import Path

from regionflow.formats.images import read_images, readable
from regionflow.images.read import read_image
from regionflow.parts.pixels import square
from regionflow.report.parts import PartFiles, build_parts
from regionflow.run.job import Job


def run(job: Job) -> None:
    tested = job.input_list("accuracy")
    files = PartFiles(
        job.input("islands"),
        job.input("masks"),
        job.input("record"),
        job.input("metrics"),
        tested[0] if tested else None,
    )
    build_parts(
        job.outputs["page"],
        readable(read_images(job.input("table"))),
        files,
        lambda row, size: square(read_image(Path(row.path), **job.options["reading"]), size),
    )
