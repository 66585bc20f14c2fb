"""Region features to automatic labels."""


rule clusters:
    """k-means over the region features of the whole set."""
    input:
        pooled="results/pooled/{extractor}/{regions}.h5",
    output:
        centroids="results/clusters/{extractor}/{regions}/centroids.h5",
    log:
        "logs/clusters/{extractor}/{regions}.log",
    conda:
        "../envs/regionflow.yaml"
    params:
        client=slot,
        options=options("clusters"),
        job=job("clusters"),
    shell:
        "exec {params.client} > {log:q} 2>&1 <<< {params.job:q}"


rule labels:
    """The cluster of every region of one image, as a label map and a table."""
    input:
        pooled="results/pooled/{extractor}/{regions}/{image}.h5",
        regions="results/regions/{regions}/{image}.json",
        centroids="results/clusters/{extractor}/{regions}/centroids.h5",
    output:
        map="results/labels/{extractor}/{regions}/{image}.png",
        table="results/labels/{extractor}/{regions}/{image}.json",
    log:
        "logs/labels/{extractor}/{regions}/{image}.log",
    conda:
        "../envs/regionflow.yaml"
    params:
        client=slot,
        options=options("labels"),
        job=job("labels"),
    shell:
        "exec {params.client} > {log:q} 2>&1 <<< {params.job:q}"
