"""What a run does when its plan is made: inner runs wait for their turn, and the console is told of them."""

from regionflow.run import shard_progress, turns


def begin_levels():
    """Tell the console what the inner runs are going to do; in an inner run of a shard, wait for its turn."""
    refuse_unreachable_weights()
    if INNER and INNER.phase.per_image:
        turns.take()
    jobs = [job for job in workflow.dag.needrun_jobs() if job.rule.name in ("shard", "shard_set")]
    if jobs:
        order = list(LEVELS["phases"])
        jobs.sort(key=lambda job: order.index(job.wildcards.phase))
        shard_progress.SHARDS.expect(expected(job.wildcards) for job in jobs)


def expected(wildcards):
    """A job of the outer run for its console."""
    shard = wildcards.get("shard", WHOLE_SET)
    number = len(LEVELS["shards"][shard].images) if shard in LEVELS["shards"] else 0
    return shard_progress.Expected(phase_named(wildcards.phase), shard, number)
