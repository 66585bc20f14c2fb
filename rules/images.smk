"""The table of images, what could not be read, and files of images that have left the set."""

import sys

from regionflow.run.prune import leftovers


rule images:
    """Read every image once: size, sha256, and the reason if it cannot be read."""
    output:
        table="results/images.tsv",
    log:
        "logs/images.log",
    conda:
        ENV
    threads: CORES
    params:
        **stage("images"),
        images=VERSIONS.of_set(IMAGES),
    shell:
        RUN


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
    params:
        **stage("problems"),
        left_out=lambda wildcards: canonical_json(IMAGE_SET.left_out),
    shell:
        RUN


localrules:
    prune,


def file_patterns():
    """Folder and regular expression of every file that a rule makes, logs included."""
    files = [file for rule in workflow.rules for file in (*rule.output, *rule.log)]
    return [(_folder(file.constant_prefix()), file.regex().pattern) for file in files]


def _folder(prefix):
    """The folder that a path starting like this lies in."""
    return prefix.rpartition("/")[0]


def left_behind(wildcards):
    """The files that would be removed."""
    return [str(path) for path in leftovers(file_patterns(), IMAGES)]


def prune_job(wildcards):
    """What regionflow.run.prune is told."""
    return canonical_json({"images": CONFIG.images.canonical(), "patterns": file_patterns()})


rule prune:
    """Remove every file in results/ and logs/ of an image that is no longer in the set."""
    params:
        files=left_behind,
        job=prune_job,
        python=sys.executable,
    message:
        "Files of images that have left the set: {params.files}"
    shell:
        "{params.python:q} -m regionflow.run.prune <<< {params.job:q}"
