"""What `snakemake --cores all export` makes, and the input functions of the exports."""

from regionflow.exports.photos import split_names, suffix_of


def over_named(name, **paths):
    """The params of a rule over the named regions of the whole set."""
    outputs = rules.semantics.output
    return stage(name, regions=rules.regions.output.regions, names=outputs.table, maps=outputs.map, **paths)


def photo_folder(pattern):
    """The folder of the photos beside a COCO file; None if they stay where they are."""
    return lambda wildcards: None if CONFIG.exports.coco.images == "relative" else pattern


def class_list(wildcards):
    """No input: the content of the names of the clusters is in the options, so they may lie anywhere."""
    path = CONFIG.exports.class_list
    if path is not None and not Path(path).is_file():
        raise WorkflowError(f"exports.class_list: {path} is not there; put the file there or remove the key")
    return []


def exported(wildcards):
    """What `snakemake --cores all export` makes: every form for every variant, and with class names for every labeler."""
    every = [(EXPORTED, names) for names in variants()] + [(EXPORTED_NAMES, names) for names in named_variants()]
    return [file for patterns, names in every for pattern in patterns for file in _each(str(pattern), names)]


def _each(pattern, names):
    """The files of one pattern: one of the set, or one per image, photo or split."""
    if "{split}" in pattern:
        splits = split_names([entry.split for entry in IMAGES.values()])
        return [pattern.format(**names, split=name) for name in splits.values()]
    if ("{suffix}" in pattern or pattern.endswith(".jsonl")) and CONFIG.exports.coco.images == "relative":
        return []
    if pattern.endswith(".parquet") and "parquet" not in CONFIG.exports.tables:
        return []
    if "{image}" not in pattern:
        return [pattern.format(**names)]
    return [pattern.format(**names, image=image, suffix=suffix_of(IMAGES[image].path)) for image in LISTED]
