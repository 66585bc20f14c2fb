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
        ENV
    resources:
        **needs("regions"),
    params:
        **stage("regions"),
    shell:
        RUN
