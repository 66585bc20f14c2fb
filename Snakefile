"""regionflow: a folder of images becomes masks, regions, region features and cluster labels.

Edit config/config.yaml and run `snakemake --cores all`; only what is stale is made. docs/architecture.md has the map.
"""

from snakemake.utils import min_version

min_version("9.14")


configfile: "config/config.yaml"


include: "rules/common.smk"
include: "rules/targets.smk"
include: "rules/run.smk"
include: "rules/weights.smk"
include: "rules/images.smk"
include: "rules/features.smk"
include: "rules/masks.smk"
include: "rules/superpixels.smk"
include: "rules/regions.smk"
include: "rules/pooled.smk"
include: "rules/labels.smk"
include: "rules/semantics.smk"
include: "rules/evaluate.smk"
include: "rules/exports.smk"
include: "rules/parts.smk"
include: "rules/report.smk"
include: "rules/verify.smk"
include: "rules/shards.smk"


rule all:
    default_target: True
    input:
        targets,
    localrule: True


onstart:
    begin_levels()


onsuccess:
    tell_the_end(look_at(sights()))


onerror:
    tell_the_end()
