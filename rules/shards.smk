"""The jobs of an outer run, each of which is a run of its own, and the target of these (docs/shards.md)."""


include: "internals.smk"
include: "steps.smk"
include: "levels.smk"
include: "arguments.smk"
include: "inner.smk"
include: "asked.smk"
include: "begin.smk"


record_every_image_as_one()
look_at_parameters_once()
before_planning(workflow, plan_levels)
before_planning(workflow, tell_parts_page)  # comes first: levels put other targets in the place of those asked for
after_planning(workflow, tell_totals)
if INNER:
    compare_newest_by_time()


localrules:
    wanted,


rule shard:
    """All files of one phase for the images of one shard."""
    input:
        summaries_before,
    output:
        summary="results/shards/{phase}/{shard}.json",
    log:
        "logs/shards/{phase}/{shard}.log",
    wildcard_constraints:
        phase="[^/]+",
        shard="[0-9a-f]+",
    retries: RETRIES_OF_SHARDS
    conda:
        ENV
    threads: share_of_cores
    resources:
        **asked_of_shard(),
    params:
        versions=versions_of_shard,
        recorded=recorded_of_phase,
        command=inner_command,
        told=told_of_job,
    message:
        "{params.told}"
    shell:
        "exec {params.command} > {log:q} 2>&1"


rule shard_set:
    """All files of one phase that are about the whole set."""
    input:
        summaries_before,
    output:
        summary="results/shards/{phase}/set.json",
    log:
        "logs/shards/{phase}/set.log",
    wildcard_constraints:
        phase="[^/]+",
    retries: RETRIES_OF_SHARDS
    conda:
        ENV
    threads: CORES
    resources:
        **asked_of_set(),
    params:
        recorded=recorded_of_phase,
        command=inner_command,
        told=told_of_job,
    message:
        "{params.told}"
    shell:
        "exec {params.command} > {log:q} 2>&1"


rule wanted:
    """What an inner run makes."""
    input:
        wanted_files,
