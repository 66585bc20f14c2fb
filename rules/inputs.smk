"""What clusters, exports and the report are made of."""

from regionflow.run.stages import model_path


def centres(wildcards):
    """The fitted centres, or those that the configuration freezes: their content is in the options of rule labels."""
    path = model_path(CONFIG, wildcards)
    if path is None:
        return f"results/clusters/{wildcards.extractor}/{wildcards.regions}/centroids.h5"
    if not path.is_file():
        raise WorkflowError(f"clusters.model: {path} is not there; put the file there or remove the key")
    return ancient(str(path))


def fits(wildcards):
    """One file of fitted clusters per number of clusters in the configuration."""
    folder = f"results/clusters/{wildcards.extractor}/{wildcards.regions}"
    return [
        f"{folder}/centroids.h5",
        *(f"{folder}/k{k}.h5" for k in CONFIG.clusters.all_k[1:]),
    ]


def exported(wildcards):
    """What `snakemake export` makes."""
    files = []
    for variant in variants():
        files.append(f"results/coco/{variant}.json")
        files.append(f"results/region_tables/{variant}.csv")
        files.append(f"results/colour_maps/{variant}/classes.csv")
        files += per_image(f"results/colour_maps/{variant}/{{image}}.png")
    return files


def page_tables(wildcards):
    """The tables that the page is made of; the comparison is one only where several k are fitted."""
    tables = {
        "table": "results/images.tsv",
        "pooled": f"results/pooled/{wildcards.extractor}/{wildcards.regions}.h5",
        "centroids": centres(wildcards),
    }
    if several_fits():
        tables["comparison"] = f"results/clusters/{wildcards.extractor}/{wildcards.regions}/comparison.tsv"
    return tables


def superpixel_maps(wildcards):
    """The label maps of the superpixels that fill a kind of region, if any do."""
    name = declared("regions", wildcards).superpixels
    return None if name is None else f"results/superpixels/{name}/{{image}}.png"
