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
        "../envs/regionflow.yaml"
    threads: workflow.cores
    params:
        client=slot,
        options=options("images"),
        job=job("images"),
    shell:
        "exec {params.client} > {log:q} 2>&1 <<< {params.job:q}"


rule problems:
    """What was skipped and why."""
    input:
        table="results/images.tsv",
    output:
        problems="results/problems.tsv",
    log:
        "logs/problems.log",
    conda:
        "../envs/regionflow.yaml"
    params:
        client=slot,
        options=options("problems"),
        job=job("problems"),
    shell:
        "exec {params.client} > {log:q} 2>&1 <<< {params.job:q}"
