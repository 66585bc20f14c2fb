"""What part-whole hierarchies are learned from: a teacher's masks for every patch, and their embeddings."""


include: "parts_inputs.smk"


rule parts_masks:
    """Three nested masks for every patch of one image."""
    input:
        image=image_path,
        weights=teacher_weights,
    output:
        masks="results/parts/masks/{image}.json.gz",
    log:
        "logs/parts_masks/{image}.log",
    conda:
        ENV
    threads: CONFIG.runtime.model_threads
    resources:
        **needs("parts_masks"),
    params:
        **stage("parts_masks"),
    shell:
        RUN


rule parts_targets:
    """The embedding of every mask of one image: what the student learns."""
    input:
        image=image_path,
        masks=rules.parts_masks.output.masks,
        checkpoint=embedder_checkpoint,
    output:
        targets="results/parts/targets/{image}.h5",
    log:
        "logs/parts_targets/{image}.log",
    conda:
        ENV
    threads: CONFIG.runtime.model_threads
    resources:
        **needs("parts_targets"),
    params:
        **stage("parts_targets"),
    shell:
        RUN


rule parts_set:
    """Pixels and targets of all images in one file, which the training maps into memory."""
    input:
        every_image(rules.parts_targets.output.targets),
    output:
        set="results/parts/set.h5",
        colours="results/parts/colours.h5",
    log:
        "logs/parts_set.log",
    conda:
        ENV
    resources:
        **needs("parts_set"),
    params:
        **stage(
            "parts_set",
            targets=rules.parts_targets.output.targets,
            masks=rules.parts_masks.output.masks,
        ),
        images=SET["listing"],
    shell:
        RUN


include: "parts_student.smk"
