"""Regions to class names."""

from snakemake.exceptions import WorkflowError


wildcard_constraints:
    labeler="[^/]+",


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
    return inputs


def shown_names(wildcards):
    """The class names that pictures show: those of the first labeler under targets, if there is one."""
    names = {**dict(wildcards.items()), "labeler": next(iter(CONFIG.targeted_labelers), None)}
    if names["labeler"] is None:
        return {}
    outputs = rules.semantics.output
    return {"names": outputs.table.format(**names), "named": outputs.map.format(**names)}


rule classifier:
    """A classifier of region features, fitted to the examples of a labeler."""
    input:
        examples=examples,
        pooled=pooled_set_of_labeler,
    output:
        classifier="results/classifiers/{labeler}/{regions}.h5",
        suggestions="results/classifiers/{labeler}/{regions}.tsv",
    log:
        "logs/classifier/{labeler}/{regions}.log",
    conda:
        ENV
    params:
        **stage("classifier", regions=rules.regions.output.regions),
    shell:
        RUN


rule semantics:
    """The class name of every region of one image, as a label map and a table."""
    input:
        unpack(labeler_inputs),
        regions=rules.regions.output.regions,
        weights=weights("labelers"),
    output:
        map="results/semantics/{labeler}/{regions}/{image}.png",
        table="results/semantics/{labeler}/{regions}/{image}.json",
    log:
        "logs/semantics/{labeler}/{regions}/{image}.log",
    conda:
        ENV
    threads: CONFIG.runtime.model_threads
    resources:
        gpu=cards("semantics"),
    params:
        **stage("semantics"),
    shell:
        RUN
