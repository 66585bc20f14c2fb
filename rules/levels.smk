"""The phases and shards of an outer run (docs/shards.md)."""

import os
from functools import partial

from snakemake.logging import logger

from regionflow.formats.shards import WHOLE_SET
from regionflow.run import inner, phases, shards

SUMMARY = "results/shards/{phase}/{shard}.json"
LEVELS = {"shards": {}, "phases": {}, "wishes": {}}


def plan_levels():
    """Divide the work into shards where the set is large: the targets become the summaries of all shards and phases."""
    if INNER:
        leave_other_rules_alone(INNER.phase.rules)
    cluster = workflow.remote_exec or workflow.resource_settings.nodes is not None
    size = 0 if INNER else shards.shard_size(CONFIG.runtime.shard_images, len(IMAGES), cluster)
    if not size:
        return
    if reason := whole_plan_only():
        logger.info(f"regionflow: not in shards, since {reason}.")
        return
    LEVELS["shards"] = shards.divide(VERSIONS.images, size)
    if not workflow.is_main_process:  # one job of the outer run, on a node of a cluster
        return
    settings = workflow.dag_settings
    whole, single, own = targets_of(settings.targets or {workflow.default_target})
    if not whole and not phases.waits_for_the_set(single, step_of):
        return
    plan = phases.plan(whole, single, step_of)
    if not plan.phases:
        return
    LEVELS["phases"], LEVELS["wishes"] = plan.phases, wishes_of_run()
    inner.clear_old()
    for phase in plan.phases.values():
        inner.remember_phase(phase, LEVELS["wishes"], overwrite=not workflow.dryrun)
    settings.targets = {*own, *plan.files, *(path for phase in plan.phases for path in summaries(phase))}
    settings.forcerun = {*forced_summaries(settings.forcerun), *stale_summaries()}
    told = shards.told(LEVELS["shards"].values(), size, CONFIG.runtime.shard_images is not None)
    logger.info(f"regionflow: {told}.")


def wishes_of_run():
    """What the command line asks of jobs, for inner runs: the node of a cluster is not told."""
    return {
        "forced": sorted(workflow.dag_settings.forcerun),
        "forceall": workflow.dag_settings.forceall,
        "keep_going": workflow.execution_settings.keep_going,
        "retries": workflow.execution_settings.retries,
    }


def summaries(phase):
    """The summaries of a phase."""
    names = LEVELS["shards"] if LEVELS["phases"][phase].per_image else [WHOLE_SET]
    return [SUMMARY.format(phase=phase, shard=shard) for shard in names]


def forced_summaries(forced):
    """What --forcerun names, with the summaries of what only inner runs know."""
    names = {name for name in forced if workflow.is_rule(name)}
    for name in forced:
        step = None if name in names else step_of(os.path.relpath(name))
        for phase in LEVELS["phases"].values():
            if name in phase.rules or (step is not None and set(step.outputs) & set(phase.patterns)):
                names |= {*summaries(phase.name)}
    return names


def stale_summaries():
    """Summaries that no longer say what is there: somebody has changed or removed a file of a single image."""
    if not CONFIG.runtime.check_files:
        return []
    expected = {
        path: partial(suffixes_of_shard, Path(path).stem) for name in LEVELS["phases"] for path in summaries(name)
    }
    stale = shards.stale(expected)
    if stale:
        logger.info(
            f"regionflow: files of {len(stale)} shard(s) were changed or removed by others; these are looked at."
        )
    return stale
