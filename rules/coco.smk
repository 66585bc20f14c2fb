"""COCO instances of the set, whole and by split, and the photos beside them: part of `snakemake --cores all export`."""

COCO_PHOTOS = photo_folder("results/coco/{extractor}/{regions}/images")


wildcard_constraints:
    split="[^/]+",
    suffix="[.](?!jsonl)[^/.]+",


rule coco:
    """COCO instances of the set, clusters as categories."""
    input:
        every_image(rules.labels.output.table),
        class_list,
        table=rules.images.output.table,
        centroids=centres,
    output:
        coco="results/coco/{extractor}/{regions}.json",
    log:
        "logs/coco/{extractor}/{regions}.log",
    conda:
        ENV
    resources:
        **needs("coco"),
    params:
        **stage("coco", regions=rules.regions.output.regions, labels=rules.labels.output.table, photos=COCO_PHOTOS),
        images=MEMBERS,
    shell:
        RUN


use rule coco as coco_split with:
    output:
        coco="results/coco/{extractor}/{regions}/annotations/instances_{split}.json",
    log:
        "logs/coco/{extractor}/{regions}/{split}.log",


rule metadata:
    """The same for Hugging Face's datasets, beside the photos."""
    input:
        every_image(rules.labels.output.table),
        class_list,
        table=rules.images.output.table,
        centroids=centres,
    output:
        metadata="results/coco/{extractor}/{regions}/images/metadata.jsonl",
    log:
        "logs/metadata/{extractor}/{regions}.log",
    conda:
        ENV
    resources:
        **needs("metadata"),
    params:
        **stage("metadata", regions=rules.regions.output.regions, labels=rules.labels.output.table, photos=COCO_PHOTOS),
        images=MEMBERS,
    shell:
        RUN


rule coco_photo:
    """A photo beside the annotations, as a link or a copy."""
    input:
        image=image_path,
    output:
        photo="results/coco/{extractor}/{regions}/images/{image}{suffix}",
    log:
        "logs/coco_photo/{extractor}/{regions}/{image}{suffix}.log",
    conda:
        ENV
    resources:
        **needs("coco_photo"),
    params:
        **stage("coco_photo"),
    shell:
        RUN


rule named_coco:
    """COCO instances of the set, classes as categories."""
    input:
        every_image(rules.semantics.output.table),
        table=rules.images.output.table,
    output:
        coco="results/named/{labeler}/{regions}/coco.json",
    log:
        "logs/named_coco/{labeler}/{regions}.log",
    conda:
        ENV
    resources:
        **needs("named_coco"),
    params:
        **over_named("named_coco", photos=NAMED_PHOTOS),
        images=MEMBERS,
    shell:
        RUN


use rule named_coco as named_split with:
    output:
        coco="results/named/{labeler}/{regions}/annotations/instances_{split}.json",
    log:
        "logs/named_coco/{labeler}/{regions}/{split}.log",


use rule coco_photo as named_photo with:
    output:
        photo="results/named/{labeler}/{regions}/images/{image}{suffix}",
    log:
        "logs/named_photo/{labeler}/{regions}/{image}{suffix}.log",


# What `snakemake --cores all export` makes: files of the set, of a split, and of a photo.
EXPORTED += [
    rules.coco.output.coco,
    rules.coco_split.output.coco,
    rules.metadata.output.metadata,
    rules.coco_photo.output.photo,
]
EXPORTED_NAMES += [rules.named_coco.output.coco, rules.named_split.output.coco, rules.named_photo.output.photo]
