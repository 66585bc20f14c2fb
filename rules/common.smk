"""Configuration, wildcards, and the input functions of all rules."""

from snakemake.exceptions import WorkflowError
from snakemake.io import flag

from regionflow.config.load import undeclared
from regionflow.config.types import GROUPS
from regionflow.run.signed import signed
from regionflow.run.stages import model_path


include: "config.smk"


wildcard_constraints:
    extractor="[^/]+",
    segmenter="[^/]+",
    superpixels="[^/]+",
    regions="[^/]+",
    k="[0-9]+",


# Names in patterns. Image ids and names of variants hold no braces, so a pattern is filled in once.


def for_image(pattern, wildcards):
    """A pattern with all names but {image} filled in: a job over many images puts the ids in."""
    return pattern.format(**{"image": "{image}", **dict(wildcards.items())})


LISTED = list(IMAGES)  # a plan in shards asks for those of one image, which stand for all
EVERY_IMAGE = "every_image"  # flag of such an input: Snakemake records the pattern (rules/levels.smk)


def per_image(pattern):
    """A pattern for every image of the set."""
    return [pattern.replace("{image}", image) for image in LISTED]


def every_image(pattern):
    """An input function: a pattern with its names filled in for every image of the set.

    In an inner run for the whole set the file that was changed last stands for all: it is as new as they are.
    """

    def files(wildcards):
        filled = for_image(pattern, wildcards)
        newest = [INNER.newest[filled]] if INNER and filled in INNER.newest else per_image(filled)
        return [flag(file, EVERY_IMAGE, filled) for file in newest]

    return signed(files)


def declared(group, wildcards):
    """The options of the variant that a path names."""
    options, name = getattr(CONFIG, group), wildcards[GROUPS[group]]
    if name not in options:
        raise WorkflowError(str(undeclared(CONFIG, group, name)))
    return options[name]


@signed
def image_path(wildcards):
    """No input, which would be judged by time and path: see run.smk. An unknown image or variant ends here."""
    for group, name in GROUPS.items():
        if name in wildcards.keys():
            declared(group, wildcards)
    if wildcards.image not in IMAGES:
        where = CONFIG.images.table or CONFIG.images.dir or "the sample photos"
        raise WorkflowError(f"there is no image {wildcards.image!r} in {where}")
    return []


def weights(group):
    """The weight file of a variant. Its content is in the options, so its time of change does not matter."""

    def find(wildcards):
        path = declared(group, wildcards).weights()
        return [] if path is None else ancient(str(path))

    return signed(find)


def feature_file(pattern):
    """Feature maps may be large: without runtime.keep_features Snakemake deletes them once they are pooled."""
    return pattern if CONFIG.runtime.keep_features else temp(pattern)


@signed
def region_sources(wildcards):
    """The mask file and the superpixels that a kind of region is made of."""
    kind, image = declared("regions", wildcards), wildcards.image
    sources = {}
    if kind.segmenter is not None:
        sources["masks"] = rules.masks.output.masks.format(segmenter=kind.segmenter, image=image)
    if kind.superpixels is not None:
        names = {"superpixels": kind.superpixels, "image": image}
        sources["superpixels"] = rules.superpixels.output.labels.format(**names)
        sources["superpixel_regions"] = rules.superpixels.output.regions.format(**names)
    return sources


def superpixel_maps(wildcards):
    """The label maps of the superpixels that fill a kind of region, if any do."""
    name = declared("regions", wildcards).superpixels
    return None if name is None else rules.superpixels.output.labels.replace("{superpixels}", name)


@signed
def centres(wildcards):
    """The fitted centres, or those that the configuration freezes: their content is in the options of rule labels."""
    path = model_path(CONFIG, wildcards)
    if path is None:
        return rules.clusters.output.centroids.format(extractor=wildcards.extractor, regions=wildcards.regions)
    if not path.is_file():
        raise WorkflowError(f"clusters.model: {path} is not there; put the file there or remove the key")
    return ancient(str(path))


def fits(wildcards):
    """One file of fitted clusters per number of clusters in the configuration."""
    names = dict(wildcards.items())
    others = rules.clusters_of_other_k.output.centroids
    return [
        rules.clusters.output.centroids.format(**names),
        *(others.format(**names, k=k) for k in CONFIG.clusters.all_k[1:]),
    ]


def several_fits():
    """Whether there are fits of several k to compare."""
    return len(CONFIG.clusters.all_k) > 1 and CONFIG.clusters.model is None
