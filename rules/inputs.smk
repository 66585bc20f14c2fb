"""The input functions of class names and evaluation."""

from regionflow.base.errors import UserError
from regionflow.run.truth_files import truth_files
from snakemake.exceptions import WorkflowError


@signed
def features_of_segmenter(wildcards):
    """The feature map that a segmenter compares regions by."""
    extractor = getattr(declared("segmenters", wildcards), "features", None)
    return (
        []
        if extractor is None
        else rules.features.output.features.format(**dict(wildcards.items()), extractor=extractor)
    )


def examples(wildcards):
    """The examples of a labeler. Their content is in the options, so their time of change does not matter."""
    labeler = declared("labelers", wildcards)
    if not labeler.is_fitted:
        raise WorkflowError(f"labeler {wildcards.labeler!r} is not fitted to examples")
    return ancient(str(labeler.path))


def pooled_set_of_labeler(wildcards):
    """The region features of the set that a labeler looks at."""
    extractor = declared("labelers", wildcards).reads_features_of
    return rules.pooled_set.output.pooled.format(extractor=extractor, regions=wildcards.regions)


@signed
def labeler_inputs(wildcards):
    """What a labeler looks at beside the regions."""
    labeler, names = declared("labelers", wildcards), dict(wildcards.items())
    inputs = {}
    if labeler.reads_image:
        inputs["image"] = image_path(wildcards)
    if labeler.reads_features_of:
        inputs["pooled"] = rules.pooled.output.pooled.format(**names, extractor=labeler.reads_features_of)
    if labeler.is_fitted:
        inputs["classifier"] = rules.classifier.output.classifier.format(**names)
    if labeler.renames:
        names["labeler"] = labeler.renames
        inputs["names"] = rules.semantics.output.table.format(**names)
        inputs["named"] = rules.semantics.output.map.format(**names)
    return inputs


@signed
def shown_names(wildcards):
    """The class names that pictures show: those of all labelers under targets."""
    names, outputs = dict(wildcards.items()), rules.semantics.output
    return {
        "names": [outputs.table.format(**names, labeler=labeler) for labeler in CONFIG.targeted_labelers],
        "named": [outputs.map.format(**names, labeler=labeler) for labeler in CONFIG.targeted_labelers],
    }


def named_tables(wildcards):
    """The class names of every image by every labeler under targets, and the fits of those that are fitted."""
    tables, fits = rules.semantics.output.table, rules.classifier.output
    files = []
    for labeler in CONFIG.targeted_labelers:
        files += every_image(tables.replace("{labeler}", labeler))(wildcards)
        if CONFIG.labelers[labeler].is_fitted:
            files += [fit.format(labeler=labeler, regions=wildcards.regions) for fit in fits]
    return files


def labeler_files():
    """Where the files of every labeler under targets are, for a page: named KIND:LABELER."""
    semantics, classifier = rules.semantics.output, rules.classifier.output
    patterns = {}
    for labeler in CONFIG.targeted_labelers:
        patterns[f"semantics:{labeler}"] = semantics.table.replace("{labeler}", labeler)
        if CONFIG.labelers[labeler].is_fitted:
            for kind in ("classifier", "suggestions"):
                patterns[f"{kind}:{labeler}"] = getattr(classifier, kind).replace("{labeler}", labeler)
    return patterns


def truth(wildcards):
    """No input: the content of the ground truth is in the options, so it may lie anywhere. What is missing is told."""
    try:
        truth_files(CONFIG, IMAGES)
    except UserError as error:
        raise WorkflowError(str(error)) from None
    return []


def evaluated(pattern, variants):
    """The scores of all variants under targets."""
    return [pattern.format(**names) for names in variants]


def targeted_segmenters():
    """The segmenters of the kinds of region under targets, each once."""
    names = dict.fromkeys(CONFIG.regions[name].segmenter for name in CONFIG.targets.regions)
    return [{"segmenter": name} for name in names if name is not None]


def refuse_unreachable_weights():
    """End a run at its start if it would wait for weights that are not there and cannot be downloaded from here."""
    if workflow.touch:  # nothing is computed
        return
    jobs = ((job.rule.name, job.wildcards) for job in workflow.dag.needrun_jobs())
    if problems := list(preflight.network_problems(CONFIG, jobs)):
        raise WorkflowError("\n".join(["These weights are missing:", *problems]))
