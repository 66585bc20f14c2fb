"""The labelled regions in forms that other tools open: `snakemake export`."""


localrules:
    export,


rule export:
    """Every form for every variant under targets."""
    input:
        exported,


rule coco:
    """COCO instances of the set, clusters as categories."""
    input:
        every_image("results/labels/{extractor}/{regions}/{image}.json"),
        table="results/images.tsv",
        centroids=centres,
    output:
        coco="results/coco/{extractor}/{regions}.json",
    log:
        "logs/coco/{extractor}/{regions}.log",
    conda:
        "../envs/regionflow.yaml"
    params:
        client=slot,
        options=options("coco"),
        job=job(
            "coco",
            regions="results/regions/{regions}/{image}.json",
            labels="results/labels/{extractor}/{regions}/{image}.json",
        ),
    shell:
        "exec {params.client} > {log:q} 2>&1 <<< {params.job:q}"


rule region_table:
    """One row per region of the set."""
    input:
        every_image("results/labels/{extractor}/{regions}/{image}.json"),
        table="results/images.tsv",
    output:
        table="results/region_tables/{extractor}/{regions}.csv",
    log:
        "logs/region_table/{extractor}/{regions}.log",
    conda:
        "../envs/regionflow.yaml"
    params:
        client=slot,
        options=options("region_table"),
        job=job(
            "region_table",
            regions="results/regions/{regions}/{image}.json",
            labels="results/labels/{extractor}/{regions}/{image}.json",
        ),
    shell:
        "exec {params.client} > {log:q} 2>&1 <<< {params.job:q}"


rule colour_map:
    """The label map of one image with a palette: colours to look at, values to train on."""
    input:
        labels="results/labels/{extractor}/{regions}/{image}.png",
        centroids=centres,
    output:
        map="results/colour_maps/{extractor}/{regions}/{image}.png",
    log:
        "logs/colour_map/{extractor}/{regions}/{image}.log",
    conda:
        "../envs/regionflow.yaml"
    params:
        client=slot,
        options=options("colour_map"),
        job=job("colour_map"),
    shell:
        "exec {params.client} > {log:q} 2>&1 <<< {params.job:q}"


rule classes:
    """Value, name and colour of every cluster."""
    input:
        centroids=centres,
    output:
        classes="results/colour_maps/{extractor}/{regions}/classes.csv",
    log:
        "logs/classes/{extractor}/{regions}.log",
    conda:
        "../envs/regionflow.yaml"
    params:
        client=slot,
        options=options("classes"),
        job=job("classes"),
    shell:
        "exec {params.client} > {log:q} 2>&1 <<< {params.job:q}"
