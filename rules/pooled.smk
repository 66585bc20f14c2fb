"""Feature maps and regions to region features."""


rule pooled:
    """One feature vector per region of one image."""
    input:
        features=rules.features.output.features,
        regions=rules.regions.output.regions,
    output:
        pooled="results/pooled/{extractor}/{regions}/{image}.h5",
    log:
        "logs/pooled/{extractor}/{regions}/{image}.log",
    conda:
        ENV
    resources:
        **needs("pooled"),
    params:
        **stage("pooled"),
    shell:
        RUN


rule pooled_set:
    """The region features of all images as one virtual file."""
    input:
        every_image(rules.pooled.output.pooled),
    output:
        pooled="results/pooled/{extractor}/{regions}.h5",
    log:
        "logs/pooled_set/{extractor}/{regions}.log",
    conda:
        ENV
    resources:
        **needs("pooled_set"),
    params:
        **stage("pooled_set", pooled=rules.pooled.output.pooled),
        images=MEMBERS,
    shell:
        RUN
