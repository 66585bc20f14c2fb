"""The input functions of the pages over all variants."""

import os
from pathlib import Path

PARTS_PAGE = "REGIONFLOW_PARTS_PAGE"  # in the environment, which the jobs of a run inherit wherever they are


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


def tell_parts_page():
    """Tell all jobs of this run whether it was asked for the page about part-whole hierarchies."""
    if INNER or not workflow.is_main_process:
        return  # the run that started this one has told it
    asked = {os.path.normpath(target) for target in workflow.dag_settings.targets}
    makes = {"parts", "parts_page", rules.parts_page.output.page} & asked
    os.environ[PARTS_PAGE] = "1" if makes else ""


def parts_page(wildcards):
    """The page about part-whole hierarchies where there is one, or this run makes one; None elsewhere.

    No input: a link needs no page that is up to date, and no other page waits for a training.
    """
    page = rules.parts_page.output.page
    return page if os.environ.get(PARTS_PAGE) or Path(page).is_file() else None


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
