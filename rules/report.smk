"""Pictures for people: overlays, the contact sheet, and with `snakemake report` the page."""


report: "../workflow/report/workflow.rst"


include: "report_inputs.smk"


localrules:
    report,


rule report:
    """The page of every variant under targets, and those over all of them."""
    input:
        all_pages,


rule page:
    """Everything about one variant on one HTML page, for a browser without network."""
    input:
        every_image(rules.labels.output.table),
        named_tables,
        unpack(page_tables),
    output:
        page=report(
            "results/report/{extractor}/{regions}/report.html",
            caption="../workflow/report/page.rst",
            category="Report",
            labels={"page": "regions", "extractor": "{extractor}", "regions": "{regions}"},
        ),
    log:
        "logs/page/{extractor}/{regions}.log",
    conda:
        ENV
    resources:
        **needs("page"),
    params:
        **stage(
            "page",
            labels=rules.labels.output.table,
            regions=rules.regions.output.regions,
            features=rules.features.output.features,
            pooled_images=rules.pooled.output.pooled,
            superpixels=superpixel_maps,
            records="logs/records",
            **labeler_files(),
        ),
        images=MEMBERS,
    shell:
        RUN


rule overlay:
    """Photo, masks, regions and labels of one image side by side."""
    input:
        unpack(shown_names),
        image=image_path,
        regions=rules.regions.output.regions,
        labels=rules.labels.output.map,
    output:
        overlay="results/report/{extractor}/{regions}/overlays/{image}.jpg",
    log:
        "logs/overlay/{extractor}/{regions}/{image}.log",
    conda:
        ENV
    resources:
        **needs("overlay"),
    params:
        **stage("overlay"),
    shell:
        RUN


rule contact_sheet:
    """Overlays of images spread over the set, on one page."""
    input:
        every_image(rules.overlay.output.overlay),
        class_list,
        centroids=centres,
        table=rules.images.output.table,
    output:
        sheet=report(
            "results/report/{extractor}/{regions}/contact_sheet.jpg",
            caption="../workflow/report/contact_sheet.rst",
            category="Overlays",
            labels={"extractor": "{extractor}", "regions": "{regions}"},
        ),
    log:
        "logs/contact_sheet/{extractor}/{regions}.log",
    conda:
        ENV
    resources:
        **needs("contact_sheet"),
    params:
        **stage(
            "contact_sheet",
            overlays=rules.overlay.output.overlay,
        ),
        images=MEMBERS,
    shell:
        RUN


include: "report_set.smk"
