"""Region features to automatic labels."""


rule clusters:
    """k-means over the region features of the whole set."""
    input:
        pooled=rules.pooled_set.output.pooled,
    output:
        centroids="results/clusters/{extractor}/{regions}/centroids.h5",
    log:
        "logs/clusters/{extractor}/{regions}.log",
    conda:
        ENV
    resources:
        **needs("clusters"),
    params:
        **stage("clusters"),
        images=SET["listing"],
    shell:
        RUN


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
        ENV
    resources:
        **needs("comparison"),
    params:
        **stage("comparison"),
    shell:
        RUN


rule labels:
    """The cluster of every region of one image, as a label map and a table."""
    input:
        pooled=rules.pooled.output.pooled,
        regions=rules.regions.output.regions,
        centroids=centres,
    output:
        map="results/labels/{extractor}/{regions}/{image}.png",
        table="results/labels/{extractor}/{regions}/{image}.json",
    log:
        "logs/labels/{extractor}/{regions}/{image}.log",
    conda:
        ENV
    resources:
        **needs("labels"),
    params:
        **stage("labels"),
    shell:
        RUN
