"""The table of images, what could not be read, and files of images that have left the set."""

import sys


rule images:
    """Read every image once: size, sha256, and the reason if it cannot be read."""
    output:
        table="results/images.tsv",
    log:
        "logs/images.log",
    conda:
        ENV
    threads: CORES
    resources:
        **needs("images"),
    params:
        **stage("images"),
        images=VERSIONS.of_set(IMAGES),
    shell:
        RUN


localrules:
    problems,


rule problems:
    """What was skipped and why."""
    input:
        table=rules.images.output.table,
    output:
        problems="results/problems.tsv",
    log:
        "logs/problems.log",
    conda:
        ENV
    resources:
        **needs("problems"),
    params:
        **stage("problems"),
        left_out=lambda wildcards: canonical_json(IMAGE_SET.left_out),
    shell:
        RUN


localrules:
    prune,


rule prune:
    """Remove every file in results/ and logs/ of an image that is no longer in the set."""
    log:
        "logs/prune.log",
    conda:
        ENV
    resources:
        **needs("prune"),
    params:
        files=left_behind,
        job=prune_job,
        python=sys.executable,
    message:
        "Files of images that have left the set: {params.files}"
    shell:
        "{params.python:q} -m regionflow.run.prune <<< {params.job:q} 2>&1 | tee {log:q}"
