"""The jobs of an outer run: what they wait for, and the command of an inner run (docs/shards.md)."""

import os
import shlex
import sys

from snakemake.exceptions import WorkflowError

from regionflow.run import inner, turns

# An inner run tries again itself what fails; an allocation that was killed or ran out of time is asked for once more.
RETRIES_OF_SHARDS = 0 if workflow.resource_settings.nodes is None else 1


def suffixes_of_shard(shard):
    """The images of a shard with the suffixes of their files."""
    images = LEVELS["shards"][shard].images if shard in LEVELS["shards"] else []
    return {image: suffix_of(IMAGES[image].path) for image in images}


def phase_of(wildcards):
    """The phase that a summary is of."""
    return phase_named(wildcards.phase)


def phase_named(name):
    """A phase of this run; on a node of a cluster as the outer run has told it."""
    if name not in LEVELS["phases"]:
        known = None if workflow.is_main_process else inner.remembered_phase(name)
        if known is None:
            raise WorkflowError(f"there is no phase {name!r} in this run (docs/shards.md)")
        LEVELS["phases"][name], LEVELS["wishes"] = known
    return LEVELS["phases"][name]


def summaries_before(wildcards):
    """What a phase waits for: of the phases of single images its own shard, or all."""
    phase, files = phase_of(wildcards), []
    for name in phase.after:
        names = (
            [WHOLE_SET]
            if not phase_named(name).per_image
            else [wildcards.shard] if phase.per_image else LEVELS["shards"]
        )
        files += [SUMMARY.format(phase=name, shard=shard) for shard in names]
    return [*files, *phase.files]


def recorded_of_phase(wildcards):
    """params: a hash of all that Snakemake compares of the steps."""
    return phase_of(wildcards).recorded


def versions_of_shard(wildcards):
    """params: a hash of the images' ids and versions."""
    if wildcards.shard not in LEVELS["shards"]:
        raise WorkflowError(f"there is no shard {wildcards.shard!r} of these images")
    return LEVELS["shards"][wildcards.shard].digest


def told_of_job(wildcards, threads, resources):
    """The message of a job, with what is asked of a cluster. Not recorded."""
    shard, phase = wildcards.get("shard", WHOLE_SET), phase_of(wildcards)
    if phase.single:
        where = f"{len(phase.patterns)} file(s) of single images"
    elif shard in LEVELS["shards"]:
        where = f"shard {shard}, {len(LEVELS['shards'][shard].images)} images"
    else:
        where = f"the whole set, {len(IMAGES)} images"
    told = f"{where}: {', '.join(phase.rules)}"
    if not is_for_cluster(workflow):
        return told
    cores = cores_asked("shard" if phase.per_image else "shard_set", threads)
    return f"{told} ({cores} cores, {resources.mem_mb} MB, {resources.runtime} minutes)"


def inner_command(wildcards, output, threads, resources):
    """The command of an inner run. Not recorded."""
    phase, shard = phase_of(wildcards), wildcards.get("shard", WHOLE_SET)
    rows = None
    if shard in LEVELS["shards"]:
        of = LEVELS["shards"][shard]
        rows = [
            (image, str(IMAGES[image].path), IMAGES[image].split, version)
            for image, version in zip(of.images, of.versions)
        ]
    job = inner.write_job(phase, shard, config=VALUES, rows=rows, shards=LEVELS["shards"], summaries=SUMMARY)
    slots = inner.OWN_SLOTS if workflow.remote_exec else inner.SLOTS_OF_RUN
    command = [sys.executable, "-P", "-m", inner.__name__, slots, job, output.summary]
    return shlex.join(map(str, [*command, *inner_arguments(phase, shard, threads), "--", "wanted"]))


def share_of_cores(wildcards):
    """threads: two inner runs at a time, of which one works and the next is ready to begin (regionflow.run.turns)."""
    return max(1, CORES // turns.at_once(limits_of_run(workflow)))


def wanted_files(wildcards):
    """What an inner run makes."""
    return INNER.targets() if INNER else []
