"""Configuration, paths, targets and the helpers that rules share."""

from snakemake.exceptions import WorkflowError

from regionflow.images import find as discover
from regionflow.run import preflight
from regionflow.formats import problems
from regionflow.config.load import ConfigError, load_config
from regionflow.weights.files import weights_path

try:
    CONFIG = load_config(config)
    IMAGES = discover.find_images(CONFIG.images)
except (ConfigError, discover.ImageListError) as error:
    raise WorkflowError(str(error)) from None
if workflow.is_main_process and (found := preflight.problems(CONFIG)):
    raise WorkflowError("\n".join(["The targets of the configuration cannot be made:", *found]))


wildcard_constraints:
    extractor="[^/]+",
    segmenter="[^/]+",
    superpixels="[^/]+",
    regions="[^/]+",
    k="[0-9]+",


# The wildcard that names a variant of each group.
NAMES = {
    "segmenters": "segmenter",
    "extractors": "extractor",
    "superpixels": "superpixels",
    "regions": "regions",
}


def image_path(wildcards):
    """The file of an image id; a path that names an unknown image or variant ends here with a message."""
    for group, name in NAMES.items():
        if name in wildcards.keys():
            declared(group, wildcards)
    if wildcards.image not in IMAGES:
        where = CONFIG.images.table or CONFIG.images.dir or "the sample photos"
        raise WorkflowError(f"there is no image {wildcards.image!r} in {where}")
    return str(IMAGES[wildcards.image].path)


def weights(group):
    """The weight file of a variant. Its content is in the options, so its time of change does not matter."""

    def find(wildcards):
        path = weights_path(declared(group, wildcards))
        return [] if path is None else ancient(str(path))

    return find


def feature_file(path):
    """Feature maps may be large: without runtime.keep_features Snakemake deletes them once they are pooled."""
    return path if CONFIG.runtime.keep_features else temp(path)


def declared(group, wildcards):
    """The options of the variant that a path names."""
    variants, name = getattr(CONFIG, group), wildcards[NAMES[group]]
    if name not in variants:
        raise WorkflowError(
            f"{name!r} is not declared under {group} in the configuration (known: {', '.join(variants)})"
        )
    return variants[name]


def region_sources(wildcards):
    """The mask file and the superpixels that a kind of region is made of."""
    kind, image = declared("regions", wildcards), wildcards.image
    sources = {}
    if kind.segmenter is not None:
        sources["masks"] = f"results/masks/{kind.segmenter}/{image}.json"
    if kind.superpixels is not None:
        sources["superpixels"] = f"results/superpixels/{kind.superpixels}/{image}.png"
        sources["superpixel_regions"] = f"results/superpixels/{kind.superpixels}/{image}.json"
    return sources


def per_image(path):
    """A pattern for every image of the set."""
    return [path.replace("{image}", image) for image in IMAGES]


def every_image(path):
    """An input function: a pattern with its names filled in for every image of the set."""
    return lambda wildcards: per_image(path.format(**{"image": "{image}", **dict(wildcards.items())}))


def variants():
    """Every extractor with every kind of region under targets, as in their paths."""
    return [f"{extractor}/{regions}" for regions in CONFIG.targets.regions for extractor in CONFIG.targets.extractors]


def several_fits():
    """Whether there are fits of several k to compare."""
    return len(CONFIG.clusters.all_k) > 1 and CONFIG.clusters.model is None


def targets(wildcards):
    """What a plain `snakemake` makes."""
    files = ["results/images.tsv", "results/problems.tsv"]
    for variant in variants():
        files.append(f"results/pooled/{variant}.h5")
        files.append(f"results/report/{variant}/contact_sheet.jpg")
        if several_fits():
            files.append(f"results/clusters/{variant}/comparison.tsv")
        files += per_image(f"results/labels/{variant}/{{image}}.png")
        files += per_image(f"results/report/{variant}/overlays/{{image}}.jpg")
    return files
