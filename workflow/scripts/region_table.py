"""Rule region_table: the regions and labels of the set to one CSV file."""

from regionflow.exports.labelled import labelled
from regionflow.exports.tables import write_region_table
from regionflow.formats.images import read_images, readable
from regionflow.run.job import Job


def run(job: Job) -> None:
    rows = readable(read_images(job.input("table")))
    write_region_table(job.outputs["table"], labelled(rows, job.input("regions"), job.input("labels")))
