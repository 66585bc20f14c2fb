"""The table of images, and what could not be read."""


rule images:
    """Read every image once: size, sha256, and the reason if it cannot be read."""
    input:
        [str(entry.path) for entry in IMAGES.values()],
    output:
        table="results/images.tsv",
    log:
        "logs/images.log",
    conda:
        ENV
    threads: CORES
    params:
        **stage("images"),
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
    shell:
        RUN
