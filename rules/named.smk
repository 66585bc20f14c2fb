"""Regions with class names in forms that other tools open: part of `snakemake --cores all export`."""

NAMED_PHOTOS = photo_folder("results/named/{labeler}/{regions}/images")


rule named_panoptic:
    """COCO panoptic of the set, for the segment maps in panoptic/."""
    input:
        every_image(rules.semantics.output.table),
        table=rules.images.output.table,
    output:
        panoptic="results/named/{labeler}/{regions}/panoptic.json",
    log:
        "logs/named_panoptic/{labeler}/{regions}.log",
    conda:
        ENV
    resources:
        **needs("named_panoptic"),
    params:
        **over_named("named_panoptic", photos=NAMED_PHOTOS),
        images=MEMBERS,
    shell:
        RUN


rule panoptic_map:
    """The segments of one image, as panopticapi reads them."""
    input:
        names=rules.semantics.output.table,
        maps=rules.semantics.output.map,
        regions=rules.regions.output.regions,
        table=rules.images.output.table,
    output:
        map="results/named/{labeler}/{regions}/panoptic/{image}.png",
    log:
        "logs/panoptic_map/{labeler}/{regions}/{image}.log",
    conda:
        ENV
    resources:
        **needs("panoptic_map"),
    params:
        **stage("panoptic_map"),
    shell:
        RUN


rule named_table:
    """One row per region of the set."""
    input:
        every_image(rules.semantics.output.table),
        table=rules.images.output.table,
    output:
        csv="results/named/{labeler}/{regions}/regions.csv",
    log:
        "logs/named_table/{labeler}/{regions}.log",
    conda:
        ENV
    resources:
        **needs("named_table"),
    params:
        **over_named("named_table"),
        images=MEMBERS,
    shell:
        RUN


rule named_parquet:
    """The same as Parquet."""
    input:
        table=rules.named_table.output.csv,
    output:
        parquet="results/named/{labeler}/{regions}/regions.parquet",
    log:
        "logs/named_parquet/{labeler}/{regions}.log",
    conda:
        ENV
    resources:
        **needs("parquet"),
    params:
        **stage("parquet"),
    shell:
        RUN


rule named_map:
    """The map of classes of one image with a palette."""
    input:
        labels=rules.semantics.output.map,
        names=rules.semantics.output.table,
    output:
        map="results/named/{labeler}/{regions}/maps/{image}.png",
    log:
        "logs/named_map/{labeler}/{regions}/{image}.log",
    conda:
        ENV
    resources:
        **needs("named_map"),
    params:
        **stage("named_map"),
    shell:
        RUN


include: "named_lists.smk"


# What `snakemake --cores all export` makes of class names, for every labeler.
EXPORTED_NAMES = [
    rules.named_panoptic.output.panoptic,
    rules.named_table.output.csv,
    rules.named_parquet.output.parquet,
    rules.named_classes.output.classes,
    rules.label_studio.output.tasks,
    rules.named_map.output.map,
    rules.panoptic_map.output.map,
]
