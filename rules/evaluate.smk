"""Masks, regions, clusters and class names against ground truth: `snakemake --cores all evaluate`."""


localrules:
    evaluate,


rule mask_scores:
    """The masks of one segmenter against the ground truth: of the set, and image by image."""
    input:
        every_image(rules.masks.output.masks),
        truth,
        table=rules.images.output.table,
    output:
        scores="results/evaluation/masks/{segmenter}.json",
        images="results/evaluation/masks/{segmenter}.tsv",
    log:
        "logs/mask_scores/{segmenter}.log",
    conda:
        ENV
    resources:
        **needs("mask_scores"),
    params:
        **stage("mask_scores", records=rules.masks.output.masks),
        images=MEMBERS,
    shell:
        RUN


rule region_scores:
    """The regions of one kind against the ground truth: of the set, and image by image."""
    input:
        every_image(rules.regions.output.regions),
        truth,
        table=rules.images.output.table,
    output:
        scores="results/evaluation/regions/{regions}.json",
        images="results/evaluation/regions/{regions}.tsv",
    log:
        "logs/region_scores/{regions}.log",
    conda:
        ENV
    resources:
        **needs("region_scores"),
    params:
        **stage("region_scores", records=rules.regions.output.regions),
        images=MEMBERS,
    shell:
        RUN


rule cluster_scores:
    """The clusters of one variant against the classes of the ground truth."""
    input:
        every_image(rules.labels.output.map),
        truth,
        table=rules.images.output.table,
        centroids=centres,
    output:
        scores="results/evaluation/clusters/{extractor}/{regions}.json",
    log:
        "logs/cluster_scores/{extractor}/{regions}.log",
    conda:
        ENV
    resources:
        **needs("cluster_scores"),
    params:
        **stage("cluster_scores", maps=rules.labels.output.map),
        images=MEMBERS,
    shell:
        RUN


rule semantics_scores:
    """The class names of one variant against those of the ground truth."""
    input:
        every_image(rules.semantics.output.map),
        truth,
        table=rules.images.output.table,
    output:
        scores="results/evaluation/semantics/{labeler}/{regions}.json",
    log:
        "logs/semantics_scores/{labeler}/{regions}.log",
    conda:
        ENV
    resources:
        **needs("semantics_scores"),
    params:
        **stage(
            "semantics_scores",
            maps=rules.semantics.output.map,
            semantics=rules.semantics.output.table,
            regions=rules.regions.output.regions,
        ),
        images=MEMBERS,
    shell:
        RUN


rule evaluation:
    """All variants side by side, a table for each kind of scores."""
    input:
        masks=evaluated(rules.mask_scores.output.scores, targeted_segmenters()),
        regions=evaluated(rules.region_scores.output.scores, [{"regions": name} for name in CONFIG.targets.regions]),
        clusters=evaluated(rules.cluster_scores.output.scores, variants()),
        semantics=evaluated(rules.semantics_scores.output.scores, named_variants()),
    output:
        masks="results/evaluation/masks.tsv",
        regions="results/evaluation/regions.tsv",
        clusters="results/evaluation/clusters.tsv",
        semantics="results/evaluation/semantics.tsv",
    log:
        "logs/evaluation.log",
    conda:
        ENV
    resources:
        **needs("evaluation"),
    params:
        **stage("evaluation"),
    shell:
        RUN


rule evaluate:
    """Every variant under targets against the ground truth."""
    input:
        rules.evaluation.output,
