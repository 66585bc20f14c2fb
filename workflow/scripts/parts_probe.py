"""Rule parts_probe: the training set and the student to a linear classifier and its record."""

from regionflow.formats.part_set import PartSet
from regionflow.formats.training import write_record
from regionflow.parts.options import ProbeOptions
from regionflow.parts.students import read_student
from regionflow.run.adapters import provenance
from regionflow.run.devices import pick
from regionflow.run.job import Job
from regionflow.train.parts.data import split_rows
from regionflow.train.parts.probe import train_probe, write_probe


def run(job: Job) -> None:
    data, student = PartSet(job.input("set")), read_student(job.input("model"), pick(job))
    rows = split_rows(data.splits, job.options["val_fraction"], job.options["seed"])
    options = ProbeOptions.model_validate(job.options["probe"])
    checkpoint = job.outputs["probe"].parent / "checkpoint.pt"
    classifier, record = train_probe(student, data, rows, options, checkpoint)
    write_probe(job.outputs["probe"], classifier, provenance(job))
    write_record(job.outputs["record"], record)
