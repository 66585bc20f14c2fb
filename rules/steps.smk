"""Which rule makes a file and what it reads, asked before Snakemake plans; phases are found by it (docs/shards.md)."""

import os

from snakemake.io import is_flagged
from snakemake.iocontainers import Wildcards

from regionflow.run import phases


def targets_of(names):
    """Files that are wanted of the set, of single images, and rules that the outer run runs itself."""
    whole, single, own = [], [], set()
    for name in sorted(names):
        if not workflow.is_rule(name):
            file = os.path.relpath(name)
            step = step_of(file)
            (single if step is not None and step.per_image else whole).append(file)
            continue
        named = workflow.get_rule(name)
        if named.has_wildcards():  # Snakemake says that it cannot be a target
            own.add(name)
            continue
        files = [str(file) for file in named.output] if named.output else of_one_image(named, {})
        whole += files
        if not files:
            own.add(name)
    return whole, single, own


def of_one_image(asked, names):
    """The inputs of a rule, where files of every image are asked for those of the first alone."""
    global LISTED
    before, LISTED = LISTED, list(IMAGES)[:1]
    try:
        return [str(file) for file in asked.expand_input(Wildcards(fromdict=names))[0]]
    finally:
        LISTED = before


def maker_of(file):
    """The rule that makes a file, or None."""
    return next((known for known in workflow.rules if known.is_producer(file)), None)


def image_of(file):
    """The id of the image that a file is of, or None."""
    maker = maker_of(file)
    return None if maker is None else maker.get_wildcards(file).get("image")


def step_of(file):
    """The step that makes a file, or None."""
    maker = maker_of(file)
    if maker is None:
        return None
    names = maker.get_wildcards(file)
    if "image" in names:
        image = next(iter(IMAGES))
        names |= {"image": image} | ({"suffix": suffix_of(IMAGES[image].path)} if "suffix" in names else {})
    variant = {name: value for name, value in names.items() if name not in ("image", "suffix")}
    kept = [output for output in maker.output if not is_flagged(output, "temp")]
    return phases.Step(
        maker.name,
        tuple(sorted(variant.items())),
        per_image="image" in names,
        outputs=tuple(
            str(output.apply_wildcards({**variant, "image": "{image}", "suffix": "{suffix}"})) for output in kept
        ),
        recorded=recorded_of(maker, variant),
        needs=tuple(of_one_image(maker, names)),
    )


def recorded_of(maker, names):
    """What Snakemake compares of a rule's jobs, but for the version of an image: shards have that."""
    params = {
        name: value(Wildcards(fromdict=names)) if callable(value) else value
        for name, value in maker.params.items()
        if not maker._is_deriving_function(value)
    }
    deployed = bool(workflow.deployment_settings.deployment_method)
    environment = (SCRIPTS.parents[1] / "rules" / ENV).read_text() if deployed else ""
    return canonical_json([maker.shellcmd, {name: str(value) for name, value in params.items()}, environment])
