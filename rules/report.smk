"""Pictures for people: overlays, the contact sheet, and with `snakemake report` the page."""


localrules:
    report,


rule report:
    """The page of every variant under targets."""
    input:
        lambda wildcards: [f"results/report/{v}/report.html" for v in variants()],


rule page:
    """Everything about one variant on one HTML page, for a browser without network."""
    input:
        every_image("results/labels/{extractor}/{regions}/{image}.json"),
        unpack(page_tables),
    output:
        page=report("results/report/{extractor}/{regions}/report.html", category="Report"),
    log:
        "logs/page/{extractor}/{regions}.log",
    conda:
        "../envs/regionflow.yaml"
    params:
        client=slot,
        options=options("page"),
        job=job(
            "page",
            labels="results/labels/{extractor}/{regions}/{image}.json",
            regions="results/regions/{regions}/{image}.json",
            features="results/features/{extractor}/{image}.h5",
            pooled_images="results/pooled/{extractor}/{regions}/{image}.h5",
            superpixels=superpixel_maps,
            logs="logs",
        ),
    shell:
        "exec {params.client} > {log:q} 2>&1 <<< {params.job:q}"


rule overlay:
    """Photo, masks, regions and labels of one image side by side."""
    input:
        image=image_path,
        regions="results/regions/{regions}/{image}.json",
        labels="results/labels/{extractor}/{regions}/{image}.png",
    output:
        overlay="results/report/{extractor}/{regions}/overlays/{image}.jpg",
    log:
        "logs/overlay/{extractor}/{regions}/{image}.log",
    conda:
        "../envs/regionflow.yaml"
    params:
        client=slot,
        options=options("overlay"),
        job=job("overlay"),
    shell:
        "exec {params.client} > {log:q} 2>&1 <<< {params.job:q}"


rule contact_sheet:
    """Overlays of images spread over the set, on one page."""
    input:
        every_image("results/report/{extractor}/{regions}/overlays/{image}.jpg"),
        table="results/images.tsv",
    output:
        sheet=report(
            "results/report/{extractor}/{regions}/contact_sheet.jpg",
            category="Overlays",
        ),
    log:
        "logs/contact_sheet/{extractor}/{regions}.log",
    conda:
        "../envs/regionflow.yaml"
    params:
        client=slot,
        options=options("contact_sheet"),
        job=job(
            "contact_sheet",
            overlays="results/report/{extractor}/{regions}/overlays/{image}.jpg",
        ),
    shell:
        "exec {params.client} > {log:q} 2>&1 <<< {params.job:q}"
