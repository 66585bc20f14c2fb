"""Pages over all variants: an index with two of them side by side, and what the ground truth says of all."""


rule report_index:
    """What each variant is like, a link to its page, and two side by side."""
    input:
        pages,
        table=rules.images.output.table,
    output:
        page=report(
            "results/report/index.html",
            caption="../workflow/report/index.rst",
            category="Report",
            labels={"page": "all variants", "extractor": "all", "regions": "all"},
        ),
    log:
        "logs/report_index.log",
    conda:
        ENV
    resources:
        **needs("report_index"),
    params:
        **stage("report_index", records="logs/records", parts=parts_page, **variant_files()),
        images=MEMBERS,
        parts=parts_page,
    shell:
        RUN


rule evaluation_page:
    """Scores of all variants side by side, and the images on which regions fit worst and best."""
    input:
        truth,
        unpack(region_scores),
        masks=rules.evaluation.output.masks,
        regions=rules.evaluation.output.regions,
        clusters=rules.evaluation.output.clusters,
        semantics=rules.evaluation.output.semantics,
        table=rules.images.output.table,
    output:
        page=report(
            "results/report/evaluation.html",
            caption="../workflow/report/evaluation.rst",
            category="Report",
            labels={"page": "ground truth", "extractor": "all", "regions": "all"},
        ),
    log:
        "logs/evaluation_page.log",
    conda:
        ENV
    resources:
        **needs("evaluation_page"),
    params:
        **stage("evaluation_page", **region_records()),
        images=MEMBERS,
    shell:
        RUN
