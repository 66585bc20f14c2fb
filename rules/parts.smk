"""What part-whole hierarchies are learned from: a teacher's masks for every patch, and their embeddings."""


def teacher_weights(wildcards):
    """The weight file of the segmenter that teaches part-whole hierarchies."""
    if problems := preflight.part_problems(CONFIG):
        raise WorkflowError("\n".join(["Part-whole hierarchies cannot be made:", *problems]))
    path = CONFIG.segmenters[CONFIG.parts.teacher.segmenter].weights()
    return [] if path is None else ancient(str(path))


def embedder_checkpoint(wildcards):
    """The local weights of the embedder; their content is in the options of rule parts_targets."""
    return [] if CONFIG.parts.embedder.checkpoint is None else ancient(CONFIG.parts.embedder.checkpoint)


def start_checkpoint(wildcards):
    """The checkpoint that is fine-tuned; its content is in the options of rule parts_model."""
    return [] if CONFIG.parts.training.start is None else ancient(CONFIG.parts.training.start)


rule parts_masks:
    """Three nested masks for every patch of one image."""
    input:
        image=image_path,
        weights=teacher_weights,
    output:
        masks="results/parts/masks/{image}.json",
    log:
        "logs/parts_masks/{image}.log",
    conda:
        ENV
    threads: CONFIG.runtime.model_threads
    resources:
        gpu=cards("parts_masks"),
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
        gpu=cards("parts_targets"),
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
