"""What learns part-whole hierarchies: the network of columns, its probe, and its islands. `snakemake --cores all parts`"""


localrules:
    parts,


rule parts:
    """Student, islands of every image, and the probe where images have classes."""
    input:
        part_files,


rule parts_model:
    """Train the student; a killed job goes on from results/parts/model/checkpoint.pt."""
    input:
        set=rules.parts_set.output.set,
        start=start_checkpoint,
    output:
        model="results/parts/model/model.safetensors",
        record="results/parts/model/record.csv",
        curves=report(
            "results/parts/model/curves.svg",
            caption="../workflow/report/curves.rst",
            category="Parts",
            labels={"file": "training curves"},
        ),
        metrics="results/parts/model/metrics.json",
    log:
        "logs/parts_model.log",
    conda:
        ENV
    threads: CONFIG.runtime.model_threads
    resources:
        **needs("parts_model"),
    params:
        **stage("parts_model"),
    shell:
        RUN


rule parts_probe:
    """Train a linear classifier on the frozen columns; an image's class is the folder that it lies in."""
    input:
        set=rules.parts_set.output.set,
        model=rules.parts_model.output.model,
    output:
        probe="results/parts/probe/probe.safetensors",
        record="results/parts/probe/record.csv",
    log:
        "logs/parts_probe.log",
    conda:
        ENV
    threads: CONFIG.runtime.model_threads
    resources:
        **needs("parts_probe"),
    params:
        **stage("parts_probe"),
    shell:
        RUN


rule parts_test:
    """Accuracy and confusion of the classifier on the images of other splits, or those held out."""
    input:
        set=rules.parts_set.output.set,
        model=rules.parts_model.output.model,
        probe=rules.parts_probe.output.probe,
    output:
        accuracy="results/parts/probe/accuracy.json",
        confusion="results/parts/probe/confusion.csv",
    log:
        "logs/parts_test.log",
    conda:
        ENV
    threads: CONFIG.runtime.model_threads
    resources:
        **needs("parts_test"),
    params:
        **stage("parts_test"),
    shell:
        RUN


rule parts_islands:
    """What the columns of one image hold at every level and iteration, as a picture, and how it fits the masks."""
    input:
        image=image_path,
        masks=rules.parts_masks.output.masks,
        targets=rules.parts_targets.output.targets,
        model=rules.parts_model.output.model,
        colours=rules.parts_set.output.colours,
    output:
        picture="results/parts/islands/{image}.png",
        islands="results/parts/islands/{image}.json",
    log:
        "logs/parts_islands/{image}.log",
    conda:
        ENV
    resources:
        **needs("parts_islands"),
    params:
        **stage("parts_islands"),
    shell:
        RUN


rule parts_agreement:
    """The agreement of islands and masks of every image, one row each, and pictures of some."""
    input:
        every_image(rules.parts_islands.output.islands),
        table=rules.images.output.table,
    output:
        table=report(
            "results/parts/agreement.csv",
            caption="../workflow/report/agreement.rst",
            category="Parts",
            labels={"file": "agreement with the teacher"},
        ),
    log:
        "logs/parts_agreement.log",
    conda:
        ENV
    resources:
        **needs("parts_agreement"),
    params:
        **stage("parts_agreement", islands=rules.parts_islands.output.islands),
        images=MEMBERS,
    shell:
        RUN


include: "parts_page.smk"
