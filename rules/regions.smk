"""Masks and superpixels to regions."""


rule regions:
    """All masks of one image, and superpixels where no mask is."""
    input:
        unpack(region_sources),
    output:
        regions="results/regions/{regions}/{image}.json",
    log:
        "logs/regions/{regions}/{image}.log",
    conda:
        "../envs/regionflow.yaml"
    params:
        client=slot,
        options=options("regions"),
        job=job("regions"),
    shell:
        "exec {params.client} > {log:q} 2>&1 <<< {params.job:q}"
