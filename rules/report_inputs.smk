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
