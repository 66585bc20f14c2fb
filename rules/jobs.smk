"""How rules describe their jobs to the client: what is recorded, what is not, and where the job runs."""

from regionflow.base.options import canonical_json
from regionflow.run.stages import STAGES, stage_options


include: "warm.smk"


plan_slots(workflow, warm=CONFIG.runtime.warm)


def options(stage):
    """params: the canonical JSON of all that changes this stage's output; Snakemake compares it between runs."""
    return lambda wildcards: canonical_json(stage_options(CONFIG, stage, wildcards))


def job(stage, **paths):
    """params, not recorded: the job as the client takes it. `paths` are inputs that stand for many files."""

    def describe(wildcards, input, output, threads):
        return canonical_json(
            {
                "stage": stage,
                "inputs": {
                    **{name: _plain(value) for name, value in input.items()},
                    **_filled(paths, wildcards),
                },
                "outputs": {name: str(value) for name, value in output.items()},
                "options": stage_options(CONFIG, stage, wildcards),
                "names": dict(wildcards.items()),
                "runtime": {
                    **CONFIG.runtime.canonical(),
                    "on_bad_image": CONFIG.images.on_bad_image,
                },
                "threads": threads,
            }
        )

    return describe


def _plain(value):
    return str(value) if isinstance(value, str) else [str(v) for v in value]


def _filled(paths, wildcards):
    """{image} stays: the stage puts the ids in, so that a job over many images stays small. None is left out."""
    patterns = {name: path(wildcards) if callable(path) else path for name, path in paths.items()}
    return {
        name: path.format(**{"image": "{image}", **dict(wildcards.items())})
        for name, path in patterns.items()
        if path is not None
    }


def cards(stage):
    """resources: one card for a model, none for a variant that has no use for it."""
    return lambda wildcards: int(STAGES[stage].model(CONFIG, wildcards))


def slot(wildcards, resources):
    """params, not recorded: the command that runs a job in a CPU slot."""
    return client("cpu")(wildcards, resources)


def slot_for(stage):
    """The same for a stage with models: a GPU slot for those that want a card."""
    return lambda wildcards, resources: client("gpu" if cards(stage)(wildcards) else "cpu")(wildcards, resources)
