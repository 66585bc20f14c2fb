"""What a plain `snakemake` makes, and what it says at its end."""

from regionflow.formats.origins import compact
from regionflow.run import summary
from regionflow.run import prune as pruning
from regionflow.run.summary import look_at


def variants():
    """Every extractor with every kind of region under targets, as the names in their paths."""
    targets = CONFIG.targets
    return [{"extractor": e, "regions": r} for r in targets.regions for e in targets.extractors]


def named_variants():
    """Every labeler with every kind of region under targets, as the names in their paths."""
    return [{"labeler": l, "regions": r} for r in CONFIG.targets.regions for l in CONFIG.targeted_labelers]


def targets(wildcards):
    """What a plain `snakemake` makes."""
    files = [rules.images.output.table, rules.problems.output.problems]
    for names in variants():
        files += [rule.format(**names) for rule in (rules.pooled_set.output.pooled, rules.contact_sheet.output.sheet)]
        if several_fits():
            files.append(rules.comparison.output.table.format(**names))
        for pattern in (rules.labels.output.map, rules.overlay.output.overlay):
            files += per_image(pattern.format(**names, image="{image}"))
    for names in named_variants():
        files += per_image(rules.semantics.output.map.format(**names, image="{image}"))
    return files + intermediates()


def intermediates():
    """What the files above are made of. As targets too, so that a plain run remakes one that has been lost, wherever it
    stands: Snakemake does not miss an input of a file that is up to date."""
    kinds = [CONFIG.regions[name] for name in CONFIG.targets.regions]
    patterns = [rules.masks.output.masks.replace("{segmenter}", k.segmenter) for k in kinds if k.segmenter]
    for name in (kind.superpixels for kind in kinds if kind.superpixels):
        patterns += [output.replace("{superpixels}", name) for output in rules.superpixels.output]
    patterns += [rules.regions.output.regions.replace("{regions}", name) for name in CONFIG.targets.regions]
    if CONFIG.runtime.keep_features:
        patterns += [rules.features.output.features.replace("{extractor}", e) for e in CONFIG.targets.extractors]
    for names in variants():
        patterns += [
            o.format(**names, image="{image}") for o in (rules.pooled.output.pooled, rules.labels.output.table)
        ]
        if CONFIG.clusters.model is None:
            patterns.append(rules.clusters.output.centroids.format(**names))
    patterns += [rules.semantics.output.table.format(**names, image="{image}") for names in named_variants()]
    files = []
    for pattern in dict.fromkeys(patterns):
        files += per_image(pattern) if "{image}" in pattern else [pattern]
    return files


def sights():
    """What people look at first after a run."""
    patterns = (rules.contact_sheet.output.sheet, rules.page.output.page, rules.pooled_set.output.pooled)
    return [pattern.format(**names) for names in variants() for pattern in patterns]


def end_of_run():
    """What a run says at its end, however it ended."""
    left = pruning.told_leftovers(file_patterns(), IMAGES) if VERSIONS.gone else ""
    tables = rules.images.output.table, rules.problems.output.problems
    return summary.end_of_run(CONFIG, IMAGE_SET, *tables, [left])


def tell_the_end(more=""):
    """Say it once: an inner run leaves it to the outer one."""
    if not INNER:
        logger.info("\n".join([end_of_run(), more]))
        compact(Path("results"))


# What prune removes.


def file_patterns():
    """Folder and regular expression of every file that a rule makes, logs included."""
    files = [file for rule in workflow.rules for file in (*rule.output, *rule.log)]
    return [(_folder(file.constant_prefix()), file.regex().pattern) for file in files]


def _folder(prefix):
    """The folder that a path starting like this lies in."""
    return prefix.rpartition("/")[0]


def left_behind(wildcards):
    """The files that would be removed."""
    return [str(path) for path in pruning.leftovers(file_patterns(), IMAGES)]


def prune_job(wildcards):
    """What regionflow.run.prune is told."""
    return canonical_json({"images": CONFIG.images.canonical(), "patterns": file_patterns()})


def pages(wildcards):
    """What `snakemake report` makes."""
    return [rules.page.output.page.format(**names) for names in variants()]
