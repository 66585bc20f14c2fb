"""Where a model runs."""

from regionflow.base.errors import UserError
from regionflow.run.job import Job


def pick(job: Job) -> str:
    """The torch device of a job: what the configuration names, or what the job's slot offers.

    Raises UserError if the configuration names a device that this machine lacks.
    """
    import torch

    wanted = job.runtime.get("device", "auto")
    if wanted == "auto":
        return job.device
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[wanted]:
        raise UserError(f"runtime.device is {wanted}, which this machine does not have; set it to auto or cpu")
    return wanted
