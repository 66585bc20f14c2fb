"""Rule parts_model: the training set to a trained student, its record, curves and figures."""

from regionflow.base.files import write_text
from regionflow.formats.part_set import PartSet
from regionflow.formats.training import Row, write_metrics, write_record
from regionflow.parts.curves import training_curves
from regionflow.parts.options import StudentOptions, TrainingOptions
from regionflow.parts.students import write_student
from regionflow.run.adapters import provenance
from regionflow.run.devices import pick
from regionflow.run.job import Job
from regionflow.train.parts.distil import Distillation


def run(job: Job) -> None:
    student = StudentOptions.model_validate(job.options["student"])
    training = TrainingOptions.model_validate(job.options["training"])
    distillation = Distillation(PartSet(job.input("set")), student, training, pick(job))
    # Beside the outputs and not one of them: it outlives a job that is killed.
    done = distillation.run(job.outputs["model"].parent / "checkpoint.pt", _tell)
    write_student(job.outputs["model"], done.student, provenance(job))
    write_record(job.outputs["record"], done.record)
    write_text(job.outputs["curves"], training_curves(done.record, done.metrics["baseline_val_loss"]))
    write_metrics(job.outputs["metrics"], done.metrics)


def _tell(row: Row) -> None:
    print(f"step {row['step']}, {row['seconds']} s: loss {row['train_loss']:.4g}, held out {row['val_loss']:.4g}")
