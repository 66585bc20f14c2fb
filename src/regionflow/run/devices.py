"""Where a model runs."""

from functools import cache

from regionflow.base.errors import UserError
from regionflow.run.job import Job


def pick(job: Job) -> str:
    """The torch device of a job: what the configuration names, or what the job's slot offers and torch can use.

    Raises UserError if the configuration names a device that this machine lacks.
    """
    import torch

    wanted = job.runtime.get("device", "auto")
    if wanted == "auto":
        return "cpu" if job.device == "cuda" and _no_card() else job.device
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available[wanted]:
        raise UserError(f"runtime.device is {wanted}, which this machine does not have; set it to auto or cpu")
    return wanted


@cache
def _no_card() -> bool:
    """Whether torch cannot use the card that the slot was promised; why not is printed, once in a process.

    A card is counted by CUDA_VISIBLE_DEVICES or nvidia-smi, without torch. It is no use to a torch built for CPUs, with
    a driver that is too old, or where it is too new or too old for the kernels that torch has: so something is tried.
    """
    import torch

    try:
        torch.zeros(2, device="cuda").sum().item()
    except (RuntimeError, AssertionError) as error:  # the latter from a torch without CUDA
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        print(
            f"this slot has a card (CUDA_VISIBLE_DEVICES or nvidia-smi), but torch {torch.__version__} cannot use it "
            f"({reason}): models run on the CPU. Install a torch for your driver, or set runtime.device to cpu."
        )
        return True
    return False
