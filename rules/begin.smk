"""What a run does when its plan is made: it is told, inner runs wait for their turn, the console is told of them."""

import shlex
from concurrent.futures import ThreadPoolExecutor

from regionflow.run import shard_progress, totals, turns


def begin_levels():
    """Tell the console what the inner runs are going to do; in an inner run of a shard, wait for its turn."""
    refuse_unreachable_weights()
    for phase in LEVELS["phases"].values():
        inner.remember_phase(phase, LEVELS["wishes"])
    if INNER and INNER.phase.per_image:
        turns.take()
    if jobs := jobs_of_levels():
        shard_progress.SHARDS.expect(expected(job.wildcards) for job in jobs)


def jobs_of_levels():
    """The jobs of the outer run that are runs themselves, phase by phase."""
    order = list(LEVELS["phases"])
    jobs = [job for job in workflow.dag.needrun_jobs() if job.rule.name in ("shard", "shard_set")]
    return sorted(jobs, key=lambda job: order.index(job.wildcards.phase))


def tell_totals():
    """In a dry run: how many shards, and how many images of each stage. With --printshellcmds the shards plan."""
    if workflow.dryrun and LEVELS["phases"] and (jobs := jobs_of_levels()):
        phases_to_run = {job.wildcards.phase for job in jobs}
        with ThreadPoolExecutor(CORES) as pool:
            shares = list(pool.map(lambda job: share_of(job, phases_to_run), jobs))
        logger.info(f"regionflow: {totals.told(shares, len(LEVELS['shards']))}")


def share_of(job, phases_to_run):
    """What a job of the outer run would make. It cannot be planned before what it reads has been made."""
    of = expected(job.wildcards)
    exact = workflow.output_settings.printshellcmds and not phases_to_run & set(of.phase.after)
    jobs = of.jobs()
    if exact:
        command = shlex.split(str(job.params.command))
        jobs = totals.planned(Path(command[5]), command[7:])
    return totals.Share(of.shard, of.phase.per_image or of.phase.single, jobs, exact)


def expected(wildcards):
    """A job of the outer run for its console."""
    shard, phase = wildcards.get("shard", WHOLE_SET), phase_named(wildcards.phase)
    if phase.per_image:
        return shard_progress.Expected(phase, shard, len(LEVELS["shards"][shard].images))
    return shard_progress.Expected(phase, shard, len(phase.patterns) if phase.single else 0)
