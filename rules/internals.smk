"""What runs in shards, and large ones, use of Snakemake that is not public: tested, and pinned below 10."""

import snakemake.common
import snakemake.rules
from functools import lru_cache

from snakemake.io import _IOFile, get_flag_value, is_flagged
from snakemake.persistence import PersistenceBase


def record_every_image_as_one():
    """Record inputs that stand for every image as their pattern: the same for files and for shards, and short."""
    original = PersistenceBase._input
    if getattr(original, "regionflow", False):
        return

    @lru_cache()
    def recorded(self, job):
        patterns = {str(f): get_flag_value(f, EVERY_IMAGE) for f in job.input if is_flagged(f, EVERY_IMAGE)}
        return sorted({patterns.get(path, path) for path in original(self, job)}) if patterns else original(self, job)

    recorded.regionflow = True
    PersistenceBase._input = recorded


def compare_newest_by_time():
    """Have a file that stands for all others be judged by its time alone: that it is as it was says nothing of them."""
    original = _IOFile.is_checksum_eligible

    async def eligible(self, max_size):
        return not is_flagged(self, EVERY_IMAGE) and await original(self, max_size)

    _IOFile.is_checksum_eligible = eligible


def leave_other_rules_alone(allowed):
    """Have files of other rules taken as they are: an input that is named by its rule would run it, allowed or not."""
    for known in workflow.rules:
        known.dependencies = {file: maker for file, maker in known.dependencies.items() if maker in allowed}


def before_planning(workflow, act):
    """Call `act` when the targets are known and the rules are read, before Snakemake plans."""
    original = workflow._prepare_dag

    def prepare(*args, **kwargs):
        act()
        return original(*args, **kwargs)

    workflow._prepare_dag = prepare


def after_planning(workflow, act):
    """Call `act` when Snakemake has planned, before it tells or runs anything."""
    original = workflow._build_dag

    def build(*args, **kwargs):
        original(*args, **kwargs)
        act()

    workflow._build_dag = build


def is_for_cluster(workflow):
    """Whether jobs are allocations, known when Snakemake plans: --jobs says nothing of it, in a dry run even less."""
    execution = workflow.execution_settings
    return workflow.remote_exec or (
        workflow.resource_settings.nodes is not None and execution is not None and execution.use_threads
    )


IS_MODULE = len(workflow.modifier_stack) > 1  # while a workflow that uses this one reads it


def whole_plan_only():
    """Why this command needs Snakemake's plan of every job, as part of a sentence; None for a plain run."""
    settings, plugin = workflow.dag_settings, workflow.executor_plugin
    if IS_MODULE:
        return "it is a module of another workflow, which may read any file of it"
    if plugin is None:
        return "this command shows or cleans files of single jobs"
    if plugin.common_settings.touch_exec:
        return "--touch is for the files of single jobs"
    for name in ("batch", "until", "omit_from", "target_jobs", "allowed_rules"):
        if workflow.is_main_process and getattr(settings, name):
            return f"--{name.replace('_', '-')} chooses among single jobs"
    if workflow.scheduling_settings and workflow.scheduling_settings.prioritytargets:
        return "--prioritize chooses among single jobs"
    return None


def look_at_parameters_once():
    """Have the parameters of an input function, or one for resources or params, looked up once, not for each job.

    inspect.signature took a tenth of the time in which many small jobs were planned and chosen.
    """
    known = snakemake.common.get_function_params
    if not hasattr(known, "cache_info"):
        known = lru_cache(maxsize=1024)(known)
        snakemake.common.get_function_params = snakemake.rules.get_function_params = known
