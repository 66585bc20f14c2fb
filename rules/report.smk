"""Pictures for people."""


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
        sheet="results/report/{extractor}/{regions}/contact_sheet.jpg",
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
