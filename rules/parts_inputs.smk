"""The input functions of part-whole hierarchies, and whether other pages lead to theirs."""

import os
from functools import cache
from pathlib import Path

from regionflow.parts.classes import has_classes
from snakemake.exceptions import WorkflowError

PARTS_PAGE = "REGIONFLOW_PARTS_PAGE"  # in the environment, which the jobs of a run inherit wherever they are


@cache
def part_problems():
    """What is known to fail of part-whole hierarchies: asked for by every image, found once."""
    return preflight.part_problems(CONFIG)


def teacher_weights(wildcards):
    """The weight file of the segmenter that teaches part-whole hierarchies."""
    if problems := part_problems():
        raise WorkflowError("\n".join(["Part-whole hierarchies cannot be made:", *problems]))
    path = CONFIG.segmenters[CONFIG.parts.teacher.segmenter].weights()
    return [] if path is None else ancient(str(path))


def embedder_checkpoint(wildcards):
    """The local weights of the embedder; their content is in the options of rule parts_targets."""
    return [] if CONFIG.parts.embedder.checkpoint is None else ancient(CONFIG.parts.embedder.checkpoint)


def start_checkpoint(wildcards):
    """The checkpoint that is fine-tuned; its content is in the options of rule parts_model."""
    return [] if CONFIG.parts.training.start is None else ancient(CONFIG.parts.training.start)


def part_files(wildcards):
    """What `snakemake --cores all parts` makes."""
    files = [rules.parts_model.output.model, rules.parts_agreement.output.table, rules.parts_page.output.page]
    return files + probe_accuracy(wildcards)


def probe_accuracy(wildcards):
    """The accuracy of the probe, where images have classes."""
    return [rules.parts_test.output.accuracy] if has_classes(IMAGES) else []


def tell_parts_page():
    """Tell all jobs of this run whether it was asked for the page about part-whole hierarchies."""
    if INNER or not workflow.is_main_process:
        return  # the run that started this one has told it
    asked = {os.path.normpath(target) for target in workflow.dag_settings.targets}
    makes = {"parts", "parts_page", rules.parts_page.output.page} & asked
    os.environ[PARTS_PAGE] = "1" if makes else ""


def parts_page(wildcards):
    """The page about part-whole hierarchies where there is one, or this run makes one; None elsewhere.

    No input: a link needs no page that is up to date, and no other page waits for a training.
    """
    page = rules.parts_page.output.page
    return page if os.environ.get(PARTS_PAGE) or Path(page).is_file() else None
