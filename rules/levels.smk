"""The phases and shards of an outer run (docs/shards.md)."""

import os

from snakemake.io import is_flagged
from snakemake.iocontainers import Wildcards
from snakemake.logging import logger

from regionflow.formats.shards import WHOLE_SET
from regionflow.run import inner, phases, shards

SUMMARY = "results/shards/{phase}/{shard}.json"
LEVELS = {"shards": {}, "phases": {}, "forced": []}


def plan_levels():
    """Divide the work into shards where the set is large: the targets become the summaries of all shards and phases."""
    size = 0 if INNER else shards.shard_size(CONFIG.runtime.shard_images, len(IMAGES))
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
    LEVELS["phases"], LEVELS["forced"] = plan.phases, sorted(settings.forcerun)
    inner.clear_old()
    for phase in plan.phases.values():
        inner.remember_phase(phase)
    settings.targets = {*own, *plan.files, *(path for phase in plan.phases for path in summaries(phase))}
    settings.forcerun = {*forced_summaries(settings.forcerun), *stale_summaries()}
    told = shards.told(LEVELS["shards"].values(), size, CONFIG.runtime.shard_images is not None)
    logger.info(f"regionflow: {told}.")


def targets_of(names):
    """Files that are wanted of the set, of single images, and rules that the outer run runs itself."""
    whole, single, own = [], [], set()
    for name in sorted(names):
        if not workflow.is_rule(name):
            file = os.path.relpath(name)
            step = step_of(file)
            (single if step is not None and step.per_image else whole).append(file)
            continue
        named = workflow.get_rule(name)
        files = [str(file) for file in named.output] if named.output else of_one_image(named, {})
        whole += files
        if not files:
            own.add(name)
    return whole, single, own


def of_one_image(asked, names):
    """The inputs of a rule, where files of every image are asked for those of the first alone."""
    global LISTED
    before, LISTED = LISTED, list(IMAGES)[:1]
    try:
        return [str(file) for file in asked.expand_input(Wildcards(fromdict=names))[0]]
    finally:
        LISTED = before


def step_of(file):
    """The step that makes a file, or None."""
    maker = next((known for known in workflow.rules if known.is_producer(file)), None)
    if maker is None:
        return None
    names = maker.get_wildcards(file)
    variant = {name: value for name, value in names.items() if name != "image"}
    if "image" in names:
        names = {**names, "image": next(iter(IMAGES))}
    kept = [output for output in maker.output if not is_flagged(output, "temp")]
    return phases.Step(
        maker.name,
        tuple(sorted(variant.items())),
        per_image="image" in names,
        outputs=tuple(str(output.apply_wildcards({**variant, "image": "{image}"})) for output in kept),
        recorded=recorded_of(maker, variant),
        needs=tuple(of_one_image(maker, names)),
    )


def recorded_of(maker, names):
    """What Snakemake compares of a rule's jobs, but for the version of an image: shards have that."""
    params = {
        name: value(Wildcards(fromdict=names)) if callable(value) else value
        for name, value in maker.params.items()
        if not maker._is_deriving_function(value)
    }
    deployed = bool(workflow.deployment_settings.deployment_method)
    environment = (SCRIPTS.parents[1] / "rules" / ENV).read_text() if deployed else ""
    return canonical_json([maker.shellcmd, {name: str(value) for name, value in params.items()}, environment])


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
        path: LEVELS["shards"][Path(path).stem].images if phase.per_image else []
        for name, phase in LEVELS["phases"].items()
        for path in summaries(name)
    }
    stale = shards.stale(expected)
    if stale:
        logger.info(
            f"regionflow: files of {len(stale)} shard(s) were changed or removed by others; these are looked at."
        )
    return stale
