"""Where jobs run: the slots of this run and the command that passes a job to one (docs/run.md)."""

import os
import shlex
import sys
from pathlib import Path

from snakemake.logging import logger

from regionflow.run import client as run_client
from regionflow.run import leftovers
from regionflow.run import slots as run_slots

CORES = workflow.resource_settings.cores or 1  # `workflow.cores` refuses commands that run nothing and so name none
SCRIPTS = Path(str(workflow.current_basedir)).resolve().parent / "workflow" / "scripts"


# Used as a module with `prefix:`, the patterns of outputs have it already, images and weights are where they are: no
# input needs it. Internal to Snakemake, like `gpu_limit`: tested, and pinned below 10.
workflow.modifier.path_modifier.skip_properties.add("input")


def gpu_limit(workflow):
    """The user's `--resources gpu=N`, or None. Internal to Snakemake, like `limit_gpu`: tested, and pinned below 10."""
    limit = workflow.global_resources.get("gpu")
    return None if limit is None or limit.value is None else int(limit.value)


def limit_gpu(workflow, number):
    """The same as `--resources gpu=NUMBER` on the command line."""
    workflow.register_resource("gpu", number)


def plan_slots(workflow, warm=True, scripts=SCRIPTS):
    """Plan the slots of this run and tell its jobs through the environment; a nested run keeps those of the outer one."""
    if (workflow.subprocess_exec or "REGIONFLOW_INNER" in os.environ) and "REGIONFLOW_RUN" in os.environ:
        return
    leftovers.clear(run_slots.socket_base())
    obstacle = run_slots.why_not_warm() if warm else None
    limit = gpu_limit(workflow)
    planned = run_slots.plan(CORES, limit, warm and obstacle is None)
    if limit is None and planned.gpu:
        limit_gpu(workflow, planned.gpu)
    if limit == 0:  # no cards, please: models run on the CPU slots, and rules that ask for gpu=1 must be able to start
        limit_gpu(workflow, planned.cpu)
    environment = planned.environment()
    os.environ.update(environment, REGIONFLOW_SCRIPTS=str(scripts), REGIONFLOW_WORKER_LOGS=worker_logs())
    leftovers.remove_at_exit(Path(environment["REGIONFLOW_RUN_DIR"]))
    on_cluster = workflow.resource_settings.nodes is not None and not workflow.remote_exec
    if not on_cluster:
        logger.info(f"regionflow: {planned.describe()}")
        if obstacle:
            logger.warning(f"regionflow: no warm workers, since {obstacle}; every job starts cold.")


def worker_logs():
    """The folder for the logs of residents: one for each allocation of a cluster, where several write at once."""
    return os.path.join("logs", "workers", os.environ.get("SLURM_JOB_ID", "")).rstrip(os.sep)


def client_command(pool):
    """The command that runs the job on its standard input in a slot of the "gpu" or "cpu" pool."""
    return shlex.join([sys.executable, "-I", "-S", run_client.__file__, pool])


def limits_of_run(workflow):
    """The --resources of an inner run: those of this one, and its GPU slots; on a node of a cluster it plans its own."""
    if workflow.remote_exec:
        return {}
    given = {name: limit.value for name, limit in workflow.global_resources.items() if not name.startswith("_")}
    slots = int(os.environ.get("REGIONFLOW_GPU_SLOTS", 0))
    limits = {**given, "gpu": slots or None}
    return {name: value for name, value in limits.items() if value is not None}
