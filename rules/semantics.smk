"""Regions to class names."""


wildcard_constraints:
    labeler="[^/]+",


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
    resources:
        **needs("classifier"),
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
        **needs("semantics"),
    params:
        **stage("semantics"),
    shell:
        RUN
