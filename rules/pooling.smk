"""Feature maps and regions to region features."""


rule pooled:
    """One feature vector per region of one image."""
    input:
        features="results/features/{extractor}/{image}.h5",
        regions="results/regions/{regions}/{image}.json",
    output:
        pooled="results/pooled/{extractor}/{regions}/{image}.h5",
    log:
        "logs/pooled/{extractor}/{regions}/{image}.log",
    conda:
        "../envs/regionflow.yaml"
    params:
        client=slot,
        options=options("pooled"),
        job=job("pooled"),
    shell:
        "exec {params.client} > {log:q} 2>&1 <<< {params.job:q}"


rule pooled_set:
    """The region features of all images as one virtual file."""
    input:
        every_image("results/pooled/{extractor}/{regions}/{image}.h5"),
        table="results/images.tsv",
    output:
        pooled="results/pooled/{extractor}/{regions}.h5",
    log:
        "logs/pooled_set/{extractor}/{regions}.log",
    conda:
        "../envs/regionflow.yaml"
    params:
        client=slot,
        options=options("pooled_set"),
        job=job("pooled_set", pooled="results/pooled/{extractor}/{regions}/{image}.h5"),
    shell:
        "exec {params.client} > {log:q} 2>&1 <<< {params.job:q}"
