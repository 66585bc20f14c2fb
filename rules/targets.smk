"""What a plain `snakemake` makes, and what it says at its end."""

from regionflow.run import summary
from regionflow.run.prune import told_leftovers
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
    return files


def sights():
    """What people look at first after a run."""
    patterns = (rules.contact_sheet.output.sheet, rules.page.output.page, rules.pooled_set.output.pooled)
    return [pattern.format(**names) for names in variants() for pattern in patterns]


def end_of_run():
    """What a run says at its end, however it ended."""
    left = told_leftovers(file_patterns(), IMAGES) if VERSIONS.gone else ""
    tables = rules.images.output.table, rules.problems.output.problems
    return summary.end_of_run(CONFIG, IMAGE_SET, *tables, [left])
