"""What a job is: what Snakemake records of it, the command that runs it, and the slots of this run."""

from pathlib import Path

from regionflow.base.options import canonical_json
from regionflow.images.find import listing, members
from regionflow.run.handover import RUN
from regionflow.run.job import Job
from regionflow.run.needs import Megapixels, memory, minutes, need_of
from regionflow.run.stages import STAGES, Stage, runtime, stage_options


include: "inputs.smk"
include: "slots.smk"


plan_slots(workflow, warm=CONFIG.runtime.warm)

ENV = "../envs/regionflow.yaml"
# Recorded by jobs that read a file of every image: Snakemake records no list of these.
MEMBERS = members(IMAGES)
# For jobs that are about the whole set: they find its images again, so that no command line grows with it.
SET = {"images": CONFIG.images.canonical(), "listing": listing(IMAGES)}
SIZES = Megapixels(Path("results/images.tsv"))


def stage(name, **paths):
    """All params of a stage's rule. `paths` are inputs that stand for many files, with {image} in them.

    Snakemake records and compares `options` alone: a param whose function takes input, output, threads or resources is
    not recorded. A rule with an input `image` gets the version of its image into them.
    """
    return {"client": client(name), "options": options(name), "job": job(name, paths)}


def options(name):
    """The canonical JSON of all that changes this stage's output."""

    def recorded(wildcards):
        options = stage_options(CONFIG, name, wildcards)
        if "reading" in options and "image" in wildcards.keys():
            options["image_version"] = VERSIONS.images[wildcards.image]
        return canonical_json(options)

    return signed(recorded)


def job(name, paths):
    """The job as the client takes it. Not recorded."""

    def describe(wildcards, input, output, threads):
        inputs = {**dict(input.items()), **_filled(paths, wildcards)}
        if "image" in inputs:
            inputs["image"] = IMAGES[wildcards.image].path
        return Job.to_json(
            name,
            inputs=inputs,
            outputs=dict(output.items()),
            options=stage_options(CONFIG, name, wildcards),
            names=dict(wildcards.items()),
            runtime={**runtime(CONFIG), **({} if "image" in wildcards.keys() else SET)},
            threads=threads,
        )

    return signed(describe)


def _filled(paths, wildcards):
    """The patterns of a job over many images; None is left out."""
    patterns = {name: path(wildcards) if callable(path) else path for name, path in paths.items()}
    return {name: for_image(path, wildcards) for name, path in patterns.items() if path is not None}


def needs(name):
    """resources: what a job asks of the machine, and one card for a stage whose variant has use for it."""
    declared = STAGES.get(name, Stage(1))

    def facts(wildcards, attempt):
        if "image" in wildcards.keys():
            return {"megapixels": SIZES.of(wildcards.image), "images": 0, "attempt": attempt}
        return {"megapixels": 0, "images": len(IMAGES), "attempt": attempt}

    def need(wildcards):
        return need_of(name, whole_set="image" not in wildcards.keys())

    asked = {
        "mem_mb": lambda wildcards, attempt: memory(
            need(wildcards), weights=declared.weights(CONFIG, wildcards), **facts(wildcards, attempt)
        ),
        "runtime": lambda wildcards, attempt: minutes(need(wildcards), **facts(wildcards, attempt)),
    }
    if declared.may_use_card:
        asked["gpu"] = lambda wildcards: int(declared.uses_card(CONFIG, wildcards))
    return {name: signed(function) for name, function in asked.items()}


def client(name):
    """The command that runs a job in a slot: one with a card for a stage that wants it. Not recorded."""
    return signed(
        lambda wildcards, resources: client_command("gpu" if STAGES[name].uses_card(CONFIG, wildcards) else "cpu")
    )
