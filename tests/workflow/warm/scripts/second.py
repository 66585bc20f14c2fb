"""A fake stage on the CPU pool."""

from regionflow.run.job import Job


def run(job: Job) -> None:
    job.outputs["text"].write_text(job.input("text").read_text() + "second\n")
