"""Pictures for people: overlays, the contact sheet, and with `snakemake report` the page."""


localrules:
    report,


rule report:
    """The page of every variant under targets."""
    input:
        lambda wildcards: [f"results/report/{v}/report.html" for v in variants()],


def page_tables(wildcards):
    """The tables that the page is made of; the comparison is one only where several k are fitted."""
    tables = {
        "table": "results/images.tsv",
        "pooled": f"results/pooled/{wildcards.extractor}/{wildcards.regions}.h5",
        "centroids": centres(wildcards),
    }
    if len(CONFIG.clusters.all_k) > 1 and CONFIG.clusters.model is None:
        tables["comparison"] = f"results/clusters/{wildcards.extractor}/{wildcards.regions}/comparison.tsv"
    return tables


def superpixel_maps(wildcards):
    """The label maps of the superpixels that fill a kind of region, if any do."""
    name = declared("regions", wildcards).superpixels
    return None if name is None else f"results/superpixels/{name}/{{image}}.png"


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
