"""What the targets `all`, `export` and `report` are made of."""


def variants():
    """Every extractor with every kind of region under targets, as the names in their paths."""
    targets = CONFIG.targets
    return [{"extractor": e, "regions": r} for r in targets.regions for e in targets.extractors]


def targets(wildcards):
    """What a plain `snakemake` makes."""
    files = [rules.images.output.table, rules.problems.output.problems]
    for names in variants():
        files += [rule.format(**names) for rule in (rules.pooled_set.output.pooled, rules.contact_sheet.output.sheet)]
        if several_fits():
            files.append(rules.comparison.output.table.format(**names))
        for pattern in (rules.labels.output.map, rules.overlay.output.overlay):
            files += per_image(pattern.format(**names, image="{image}"))
    return files


def exported(wildcards):
    """What `snakemake export` makes."""
    files = []
    for names in variants():
        files += [
            pattern.format(**names)
            for pattern in (rules.coco.output.coco, rules.region_table.output.table, rules.classes.output.classes)
        ]
        files += per_image(rules.colour_map.output.map.format(**names, image="{image}"))
    return files


def pages(wildcards):
    """What `snakemake report` makes."""
    return [rules.page.output.page.format(**names) for names in variants()]
