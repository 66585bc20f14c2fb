"""A fake stage on the GPU pool: notes each "model" load and that it has its slot for itself."""

import ctypes
import fcntl
import os
import signal
import time
from pathlib import Path

from regionflow.base.errors import UserError
from regionflow.run.job import Job


def load() -> object:
    with Path("loads.txt").open("a") as file:
        file.write(f"{os.environ['REGIONFLOW_SLOT']} {os.getpid()} {os.environ['CUDA_VISIBLE_DEVICES']}\n")
    return object()


def run(job: Job) -> None:
    job.models.get("model", load)
    image = job.outputs["text"].name.split(".")[1]
    with Path(f"in-use-{os.environ['REGIONFLOW_SLOT']}").open("w") as mark:
        fcntl.flock(mark, fcntl.LOCK_EX | fcntl.LOCK_NB)  # two jobs in one slot: BlockingIOError
        print("working on", image)
        if image == job.options["bad"]:
            raise ValueError(f"{image} is bad")
        if image in job.options["refused"].split("+"):
            with Path(f"tried-{image}.txt").open("a") as file:
                file.write("tried\n")
            error = UserError(f"{image} has weights of another model")
            raise error.of_the_moment() if image == job.options["passing"] else error
        if image == job.options["deadly"] and not Path("died.txt").exists():
            Path("died.txt").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        job.outputs["text"].write_text(f"{image}\n")
        if job.options["hold"]:  # work on half-written outputs until told otherwise
            Path(f"holding-{image}").touch()
            while job.options["native"] and Path(job.options["hold"]).exists():
                ctypes.PyDLL(None).sleep(600)  # holds Python's lock, as a loop in native code does
            deadline = time.monotonic() + 60
            while Path(job.options["hold"]).exists() and time.monotonic() < deadline:
                time.sleep(0.02)
        job.outputs["extra"].write_text(f"{image} {job.device}\n")
