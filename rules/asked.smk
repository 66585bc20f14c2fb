"""What an allocation of a cluster is asked for: memory and time of a shard, and of the whole set (docs/cluster.md).

On one machine these jobs ask for nothing: those of their inner runs do.
"""

from functools import cache

from regionflow.base.options import Kind
from regionflow.config.references import targeted
from regionflow.run import shard_needs

MAY_BE_CLUSTER = workflow.resource_settings.nodes is not None  # `is_for_cluster` knows when Snakemake plans


def asked_of_shard():
    """resources: of an allocation for a shard."""
    return {"mem_mb": memory_asked, "runtime": minutes_asked} if MAY_BE_CLUSTER else {}


def asked_of_set():
    """resources: of an allocation for the whole set."""
    return {"mem_mb": memory_of_set, "runtime": minutes_of_set} if MAY_BE_CLUSTER else {}


def minutes_asked(wildcards, threads, attempt):
    """From the number of images and the seconds that each takes."""
    return shard_needs.minutes_of_shard(
        len(LEVELS["shards"][wildcards.shard].images),
        seconds_in_phase(wildcards.phase),
        cores=cores_asked("shard", threads),
        cards=cards_of_shard(),
        attempt=attempt,
    )


def memory_asked(wildcards, threads, attempt):
    """From the largest image and weight file, and how many jobs run side by side."""
    return shard_needs.memory_of_shard(
        phase_of(wildcards).rules,
        megapixels=SIZES.largest(),
        weights=largest_weights(),
        cores=cores_asked("shard", threads),
        cards=cards_of_shard(),
        attempt=attempt,
    )


def memory_of_set(wildcards, attempt):
    """From the number of images."""
    return shard_needs.needs_of_set(phase_of(wildcards).rules, images=len(IMAGES), attempt=attempt)[0]


def minutes_of_set(wildcards, attempt):
    """From the number of images."""
    return shard_needs.needs_of_set(phase_of(wildcards).rules, images=len(IMAGES), attempt=attempt)[1]


def cores_asked(rule, threads):
    """The cores of an allocation, as the profile says; a dry run has one, whatever it says."""
    asked = workflow.resource_settings._parsed_overwrite_threads
    return int(asked[rule].value) if rule in asked else threads


def cards_of_shard():
    """The cards of an allocation, as the profile says."""
    asked = workflow.resource_settings._parsed_overwrite_resources.get("shard", {})
    return int(asked["gpu"].value) if "gpu" in asked else 0


@cache
def seconds_in_phase(name):
    """The seconds of one image, on cores and on a card: all shards ask."""
    return shard_needs.seconds_per_image(phase_named(name).rules, CONFIG.runtime.seconds_per_image)


@cache
def largest_weights():
    """MiB of the largest weight file of what is made."""
    files = [options.weights() for _, options in targeted(CONFIG) if isinstance(options, Kind)]
    return max((path.stat().st_size / 2**20 for path in files if path is not None and path.is_file()), default=0)
