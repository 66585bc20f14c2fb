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
    size = 0 if INNER else shards.shard_size(CONFIG.runtime.shard_images, len(IMAGES), is_for_cluster(workflow))
    if not size:
        return
    if reason := whole_plan_only():
        logger.info(f"regionflow: not in shards, since {reason}.")
        return
    LEVELS["shards"] = shards.divide(VERSIONS.images, size)
    if not workflow.is_main_process:  # one job of the outer run, on a node of a cluster
        return
    settings = workflow.dag_settings
    forced = forced_by_run()
    whole, single, own = targets_of({*(settings.targets or {workflow.default_target}), *filter(is_target, forced)})
    if not whole and not phases.waits_for_the_set(single, step_of):
        return
    plan = phases.plan(whole, single, step_of)
    if not plan.phases:
        return
    LEVELS["phases"], LEVELS["wishes"] = plan.phases, {**wishes_of_run(), "forced": sorted(forced)}
    inner.clear_old()
    settings.targets = {*own, *plan.files, *(path for phase in plan.phases for path in summaries(phase))}
    settings.forcerun, settings.forcetargets = {*forced_of_outer_run(forced), *stale_summaries()}, False
    told = shards.told(LEVELS["shards"].values(), size, CONFIG.runtime.shard_images is not None)
    logger.info(f"regionflow: {told}.")


def forced_by_run():
    """The rules and files that --forcerun names, and with --force those that are targets."""
    settings = workflow.dag_settings
    return {*settings.forcerun, *(settings.targets if settings.forcetargets else ())}


def is_target(forced):
    """Whether Snakemake makes it, asked for or not, when it is forced: a file, and a rule that makes only one."""
    return not workflow.is_rule(forced) or not workflow.get_rule(forced).has_wildcards()


def wishes_of_run():
    """What the command line asks of jobs, for inner runs: the node of a cluster is not told."""
    return {
        "forceall": workflow.dag_settings.forceall,
        "keep_going": workflow.execution_settings.keep_going,
        "retries": workflow.execution_settings.retries,
    }


def summaries(phase):
    """The summaries of a phase."""
    names = LEVELS["shards"] if LEVELS["phases"][phase].per_image else [WHOLE_SET]
    return [SUMMARY.format(phase=phase, shard=shard) for shard in names]


def forced_of_outer_run(forced):
    """What the outer run is to make again: rules of its own, and the summaries of what only inner runs know."""
    phases, names = LEVELS["phases"].values(), set()
    for name in forced:
        if workflow.is_rule(name) and not workflow.get_rule(name).output:
            continue  # it collects: what its files are made by is in the phases
        if workflow.is_rule(name):
            of = [path for phase in phases if name in phase.rules for path in summaries(phase.name)]
        else:
            of = [
                path for phase in phases for path in summaries(phase.name) if is_made_by(name, phase, Path(path).stem)
            ]
        names |= {*of} or {name}
    return names


def is_made_by(file, phase, shard):
    """Whether a file that is named by itself is one of a phase, and of a shard's images."""
    step, image = step_of(os.path.relpath(file)), image_of(os.path.relpath(file))
    if step is None or not {*step.outputs, os.path.relpath(file)} & {*phase.patterns}:
        return False
    return not phase.per_image or image in LEVELS["shards"][shard].images


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
            f"regionflow: {len(stale)} shard(s) have other images or files than earlier runs have left; these are looked at."
        )
    return stale
