"""Rule parts_test: the classifier's accuracy and confusion on images that it was not trained on."""

from regionflow.base.files import write_table
from regionflow.formats.part_set import PartSet
from regionflow.formats.training import write_metrics
from regionflow.parts.students import read_student
from regionflow.run.devices import pick
from regionflow.run.job import Job
from regionflow.train.parts.data import split_rows
from regionflow.train.parts.probe import evaluate_probe, read_probe


def run(job: Job) -> None:
    data, device = PartSet(job.input("set")), pick(job)
    rows = split_rows(data.splits, job.options["val_fraction"], job.options["seed"])
    held_out = not len(rows.test)
    classifier = read_probe(job.input("probe"), device)
    student = read_student(job.input("model"), device)
    tested = evaluate_probe(student, classifier, data, rows.val if held_out else rows.test)
    metrics = {
        "accuracy": tested.accuracy,
        "images": int(tested.confusion.sum()),
        "of": "held out of training" if held_out else "other splits",
        "of_unknown_class": tested.of_unknown_class,
    }
    if tested.of_unknown_class:
        print(f"{tested.of_unknown_class} images count nowhere, since no image of their class was trained on")
    write_metrics(job.outputs["accuracy"], metrics)
    table = ([name, *counts] for name, counts in zip(classifier.classes, tested.confusion.tolist(), strict=True))
    write_table(job.outputs["confusion"], ["true", *classifier.classes], table)
