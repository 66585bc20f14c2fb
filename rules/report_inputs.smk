"""The input functions of the pages over all variants."""


def region_scores(wildcards):
    """The scores by image of every kind of region under targets."""
    return {f"scores:{name}": rules.region_scores.output.images.format(regions=name) for name in CONFIG.targets.regions}


def region_records():
    """Where the regions of every kind under targets are."""
    return {
        f"records:{name}": rules.regions.output.regions.replace("{regions}", name) for name in CONFIG.targets.regions
    }


def variant_files():
    """Where the files of every variant under targets are."""
    files = {}
    for names in variants():
        key = f"{names['extractor']}/{names['regions']}"
        files[f"labels:{key}"] = rules.labels.output.table.format(**names, image="{image}")
        files[f"maps:{key}"] = rules.labels.output.map.format(**names, image="{image}")
        files[f"centroids:{key}"] = str(model_path(CONFIG, names) or rules.clusters.output.centroids.format(**names))
    return files


def all_pages(wildcards):
    """What `snakemake report` makes: with ground truth a page about it, too."""
    about_truth = [rules.evaluation_page.output.page] if CONFIG.known_truth is not None else []
    return [*pages(wildcards), rules.report_index.output.page, *about_truth]


def page_tables(wildcards):
    """The tables that the page is made of; the comparison is one only where several k are fitted."""
    tables = {
        "table": rules.images.output.table,
        "pooled": rules.pooled_set.output.pooled.format(**dict(wildcards.items())),
        "centroids": centres(wildcards),
    }
    if several_fits():
        tables["comparison"] = rules.comparison.output.table.format(**dict(wildcards.items()))
    return tables
