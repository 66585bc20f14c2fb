"""Region features to automatic labels."""


rule clusters:
    """k-means over the region features of the whole set."""
    input:
        pooled="results/pooled/{extractor}/{regions}.h5",
        table="results/images.tsv",
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


use rule clusters as clusters_of_other_k with:
    output:
        centroids="results/clusters/{extractor}/{regions}/k{k}.h5",
    log:
        "logs/clusters/{extractor}/{regions}/k{k}.log",


rule comparison:
    """What the numbers of clusters give, side by side."""
    input:
        fits=fits,
    output:
        table="results/clusters/{extractor}/{regions}/comparison.tsv",
    log:
        "logs/comparison/{extractor}/{regions}.log",
    conda:
        "../envs/regionflow.yaml"
    params:
        client=slot,
        options=options("comparison"),
        job=job("comparison"),
    shell:
        "exec {params.client} > {log:q} 2>&1 <<< {params.job:q}"


rule labels:
    """The cluster of every region of one image, as a label map and a table."""
    input:
        pooled="results/pooled/{extractor}/{regions}/{image}.h5",
        regions="results/regions/{regions}/{image}.json",
        centroids=centres,
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
