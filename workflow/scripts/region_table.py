"""Rule region_table: the regions and labels of the set to one CSV file."""

from regionflow.exports import coco as exports
from regionflow.formats import images as image_table
from regionflow.run.job import Job


def run(job: Job) -> None:
    rows = exports.readable(image_table.read_table(job.input("table")))
    exports.write_table(job.outputs["table"], exports.labelled(rows, job.input("regions"), job.input("labels")))
