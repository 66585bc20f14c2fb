"""Run one job's stage in this process: find the adapter, set the threads, use temporary output names."""

import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from regionflow.base.files import PART
from regionflow.run.job import Job
from regionflow.run.models import ModelCache
from regionflow.run.together import Working

_THREAD_VARIABLES = (  # read by a library when it is first loaded
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OPENCV_FOR_THREADS_NUM",
)


TEMPORARY = re.compile(r"/\.[^/]*\.\d+(-\d+)?\.tmp(\.[^./]*)?$")
"""What `temporary_name` gives."""


def temporary_name(path: Path, token: str) -> Path:
    """Where an output is written: beside its final place, so that it can be renamed (`.name.token.tmp.ext`)."""
    return path.with_name(f".{path.stem}.{token}.tmp{path.suffix}")


def read(text: str, token: str, device: str, models: ModelCache) -> tuple[Job, list[tuple[Path, Path]]]:
    """The job of that JSON with temporary outputs, and its (temporary, final) outputs."""
    job = Job.from_json(text, device=device, models=models)
    temporary = {name: temporary_name(path, token).absolute() for name, path in job.outputs.items()}
    return replace(job, outputs=temporary), [(temporary[name], path) for name, path in job.outputs.items()]


def temporary_outputs(text: str, token: str) -> list[Path]:
    """The temporary outputs of the job of that JSON; none if it is not such a job, which `read` will tell."""
    try:
        outputs = json.loads(text)["outputs"].values()
        return [temporary_name(Path(path), token).absolute() for path in outputs]
    except (ValueError, KeyError, TypeError, AttributeError):
        return []


def run_whole(text: str, device: str, models: ModelCache, scripts: Path) -> None:
    """Run the job of that JSON in this process: its outputs appear under their final names, all or none."""
    job, outputs = read(text, str(os.getpid()), device, models)
    for _, final in outputs:
        final.parent.mkdir(parents=True, exist_ok=True)
    try:
        run(job, scripts)
        for temporary, final in outputs:
            temporary.replace(final)
    finally:
        for temporary, _ in outputs:
            temporary.unlink(missing_ok=True)
            temporary.with_name(temporary.name + PART).unlink(missing_ok=True)


def run(job: Job, scripts: Path) -> None:
    """Call `run(job)` of the adapter `scripts/<stage>.py` with the job's number of threads."""
    _set_threads(job)
    adapter = load_adapter(scripts, job.stage)
    limit_loaded_modules(job.threads)
    adapter(job)


def _set_threads(job: Job) -> None:
    """Before the adapter's libraries are loaded, which read the variables then, and for those that are."""
    number = str(job.threads)
    if any(os.environ.get(name) != number for name in _THREAD_VARIABLES):
        os.environ.update(dict.fromkeys(_THREAD_VARIABLES, number))
        limit_loaded_pools(job.threads)


def together(texts: Sequence[str], scripts: Path) -> Callable[[Sequence[Job], Working], None] | None:
    """The `run_together` function of the adapter of these jobs, which are of one stage and kind; None if there is none.

    The adapter's `can_work_together(job)` says whether their kind can.
    """
    job = Job.from_json(texts[0])
    _set_threads(job)
    adapter = _load(scripts, job.stage)
    limit_loaded_modules(job.threads)
    able: Callable[[Job], bool] = getattr(adapter, "can_work_together", lambda job: False)
    return adapter.run_together if able(job) else None


def load_adapter(scripts: Path, stage: str) -> Callable[[Job], None]:
    """The `run` function of scripts/<stage>.py."""
    run: Callable[[Job], None] = _load(scripts, stage).run
    return run


@cache
def _load(scripts: Path, stage: str) -> Any:
    """The module scripts/<stage>.py, loaded once: a change of the file is seen by the next run."""
    if not re.fullmatch(r"\w+", stage):
        raise ValueError(f"stage {stage!r}: must be the name of an adapter in {scripts}")
    path = scripts / f"{stage}.py"
    spec = importlib.util.spec_from_file_location(f"regionflow_adapter_{stage}", path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"stage {stage!r} has no adapter {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def limit_loaded_pools(threads: int) -> None:
    """Set the number of threads of the OpenMP and BLAS libraries that have read the variables already."""
    if "numpy" in sys.modules:
        import threadpoolctl

        threadpoolctl.threadpool_limits(threads)


def limit_loaded_modules(threads: int) -> None:
    """Set the number of threads of what has its own: OpenCV and, within a thread, torch."""
    if cv2 := sys.modules.get("cv2"):
        cv2.setNumThreads(threads)
    torch = sys.modules.get("torch")
    if torch and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)
