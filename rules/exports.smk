"""The labelled regions in forms that other tools open: `snakemake --cores all export`."""


include: "export_targets.smk"
include: "named.smk"


localrules:
    export,


rule export:
    """Every form for every variant under targets."""
    input:
        exported,


rule region_table:
    """One row per region of the set."""
    input:
        every_image(rules.labels.output.table),
        table=rules.images.output.table,
    output:
        table="results/region_tables/{extractor}/{regions}.csv",
    log:
        "logs/region_table/{extractor}/{regions}.log",
    conda:
        ENV
    resources:
        **needs("region_table"),
    params:
        **stage(
            "region_table",
            regions=rules.regions.output.regions,
            labels=rules.labels.output.table,
        ),
        images=MEMBERS,
    shell:
        RUN


rule region_parquet:
    """The same as Parquet."""
    input:
        table=rules.region_table.output.table,
    output:
        parquet="results/region_tables/{extractor}/{regions}.parquet",
    log:
        "logs/region_parquet/{extractor}/{regions}.log",
    conda:
        ENV
    resources:
        **needs("parquet"),
    params:
        **stage("parquet"),
    shell:
        RUN


rule colour_map:
    """The label map of one image with a palette: colours to look at, values to train on."""
    input:
        labels=rules.labels.output.map,
        centroids=centres,
    output:
        map="results/colour_maps/{extractor}/{regions}/{image}.png",
    log:
        "logs/colour_map/{extractor}/{regions}/{image}.log",
    conda:
        ENV
    resources:
        **needs("colour_map"),
    params:
        **stage("colour_map"),
    shell:
        RUN


rule classes:
    """Value, name and colour of every cluster."""
    input:
        centroids=centres,
    output:
        classes="results/colour_maps/{extractor}/{regions}/classes.csv",
    log:
        "logs/classes/{extractor}/{regions}.log",
    conda:
        ENV
    resources:
        **needs("classes"),
    params:
        **stage("classes"),
    shell:
        RUN


# What `snakemake --cores all export` makes, for every variant.
EXPORTED = [
    rules.region_table.output.table,
    rules.region_parquet.output.parquet,
    rules.colour_map.output.map,
    rules.classes.output.classes,
]


include: "coco.smk"
