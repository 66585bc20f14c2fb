"""What can be known to fail before any job starts: the configuration, images, weights, models, the device."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from regionflow.base.errors import UserError
from regionflow.base.options import Kind
from regionflow.config.load import ConfigError, check_config
from regionflow.config.references import targeted
from regionflow.config.types import GROUPS, Config
from regionflow.formats.parquet import NEEDS as NEEDS_PYARROW
from regionflow.images.find import ImageListError, ImageSet, find_set
from regionflow.labels.splits import fit_parts
from regionflow.parts.options import TEACHERS
from regionflow.run.slots import visible_cards
from regionflow.run.stages import MODEL_GROUPS, STAGES, model_path
from regionflow.semantics.options import NamingOptions
from regionflow.semantics.renamed import naming_problems
from regionflow.weights.files import missing_weights, unreachable, unreachable_weights
from regionflow.weights.published import PUBLISHED


def prepare(
    values: Mapping[str, Any],
    *,
    starts: bool = True,
    works: bool = True,
    images: ImageSet | None = None,
) -> tuple[Config, ImageSet]:
    """The configuration and the images by id, checked.

    Args:
        values: of the configuration files and the command line.
        starts: whether a run starts here, not one of its jobs: weights and models are looked for then.
        works: whether this machine is the one that runs the models: its cards are looked for then.
        images: of the set, where they are known already.

    Raises:
        ConfigError: lists all that is wrong, of whatever sort.
    """
    config, problems = check_config(values)
    try:
        images = images or find_set(config.images)
    except ImageListError as error:
        images = ImageSet({})
        problems.append(str(error).replace("\n", "\n  "))
    problems += path_problems(config)
    if starts:
        problems += model_problems(config)
        problems += set_problems(config, images)
        problems += device_problems(config) if works else []
    if problems:
        raise ConfigError.of(problems)
    return config, images


def model_problems(config: Config) -> Iterator[str]:
    """One line per variant under `targets` that cannot work, with the path of its key."""
    for key, options in targeted(config):
        if isinstance(options, Kind):
            yield from (f"{key}.{problem}" for problem in (*missing_weights(options), *options.problems()))
        if isinstance(options, NamingOptions):
            name = key.removeprefix("labelers.")
            yield from (f"{key}.{problem}" for problem in naming_problems(config.labelers, name))
    targets = config.targets
    paths = {model_path(config, {"extractor": e, "regions": r}) for e in targets.extractors for r in targets.regions}
    for path in sorted(path for path in paths if path is not None):
        if not path.is_file():
            yield f"clusters.model: {path} is not there; put the file there or remove the key"
    if "parquet" in config.exports.tables and find_spec("pyarrow") is None:
        yield f"exports.tables: parquet {NEEDS_PYARROW}"
    teacher = config.parts.teacher.segmenter
    segmenter = config.segmenters.get(teacher)  # one that is not declared is told elsewhere
    if segmenter is not None and segmenter.type not in TEACHERS:
        yield f"parts.teacher.segmenter: {teacher} is of type {segmenter.type}; only {' and '.join(TEACHERS)} can teach"


def set_problems(config: Config, images: ImageSet) -> Iterator[str]:
    """One line per variant under `targets` that does not fit the images, with the path of its key, and for splits that
    no image has: the fit, after all features, would be the first to miss them."""
    if images.images and config.clusters.fit_splits is not None and config.clusters.model is None:
        try:
            fit_parts(images.images, config.clusters.fit_splits)
        except UserError as error:
            yield str(error)
    for key, options in targeted(config):
        if isinstance(options, Kind) and images.images:
            yield from (f"{key}.{problem}" for problem in options.problems_with(images.images))


def network_problems(config: Config, jobs: Iterable[tuple[str, Mapping[str, str]]]) -> Iterator[str]:
    """One line per weight file that jobs would have to download and cannot from here, with the path of its key.

    jobs: stage and wildcards of each.
    """
    variants: set[tuple[str, str]] = set()
    stages: set[str] = set()
    files: set[str] = set()
    for stage, names in jobs:
        stages.add(stage)
        if stage == "weights":
            files.add(names["weights"])
        elif (group := STAGES[stage].group if stage in STAGES else "") in MODEL_GROUPS:
            variants.add((group, names[GROUPS[group]]))
    if "parts_masks" in stages:
        variants.add(("segmenters", config.parts.teacher.segmenter))
    told = set()
    for group, name in sorted(variants):
        options = getattr(config, group)[name]
        if isinstance(options, Kind):
            told |= {path.name for path in [options.weights()] if path is not None}
            problems = (*unreachable_weights(options), *options.needs_network())
            yield from (f"{group}.{name}.{problem}" for problem in problems)
    if "parts_targets" in stages:
        yield from (f"parts.embedder.{problem}" for problem in config.parts.embedder.needs_network())
    for file in sorted(files - told):
        if problem := unreachable(Path("weights", file), PUBLISHED[file]):
            yield problem


def part_problems(config: Config) -> list[str]:
    """What is known to fail of part-whole hierarchies, which a plain run has no use for, with the path of its key."""
    name, parts = config.parts.teacher.segmenter, config.parts
    options = config.segmenters[name]
    problems = [f"segmenters.{name}.{problem}" for problem in (*missing_weights(options), *options.problems())]
    if getattr(options, "features", None) is not None:
        problems.append(f"parts.teacher.segmenter: {name} compares features, which a teacher does not have")
    unknown = [f"parts.embedder.{problem}" for problem in parts.embedder.problems()]
    problems += unknown
    width = None if unknown else parts.embedder.width()
    if width is not None and (problem := parts.student.width_problem(width)):
        problems.append(f"parts.{problem}")
    for key, path in (("embedder.checkpoint", parts.embedder.checkpoint), ("training.start", parts.training.start)):
        if path is not None and not Path(path).is_file():
            problems.append(f"parts.{key}: {path} is not there; put the file there or change the key")
    return problems


def path_problems(config: Config) -> Iterator[str]:
    """Files named in the configuration that Snakemake would take for others; images are no inputs of its."""
    for group in ("segmenters", "extractors", "labelers"):
        for name, options in getattr(config, group).items():
            for key, path in (("weights", options.weights()), ("path", getattr(options, "path", None))):
                if path is not None and (reason := unsafe_path(path)):
                    yield f"{group}.{name}: the {key} {path}: {reason}"
    named = {
        "parts.embedder.checkpoint": config.parts.embedder.checkpoint,
        "parts.training.start": config.parts.training.start,
    }
    for key, path in named.items():
        if path is not None and (reason := unsafe_path(path)):
            yield f"{key}: {path}: {reason}"
    model = config.clusters.model
    if model is not None and (reason := unsafe_path(model.format(extractor="", regions=""))):
        yield f"clusters.model: {model}: {reason}"


def unsafe_path(path: Path | str) -> str:
    """Why Snakemake would not take a path as it stands; empty if it would. It expands {names} and <pathvars>."""
    odd = sorted(set(str(path)) & set("{}<>\n"))
    return f"Snakemake gives {' '.join(map(repr, odd))} in a path a meaning of its own; rename it" if odd else ""


def device_problems(config: Config) -> Iterator[str]:
    """Why the device that the configuration names is not there, if a variant under `targets` would use it."""
    users = [key for key, options in targeted(config) if isinstance(options, Kind) and options.uses_card]
    if users and (reason := why_no_device(config.runtime.device)):
        wanted = f"runtime.device is {config.runtime.device} (for {', '.join(users)})"
        yield f"{wanted}, but {reason}; set it to auto or cpu"


def why_no_device(device: str) -> str | None:
    """Why this machine does not have the device, found without importing torch; None if it seems to have it."""
    if device == "cuda":
        if not visible_cards():
            return "this machine has no NVIDIA card that can be used"
        if _torch().endswith("+cpu"):
            return f"torch {_torch()} is built without CUDA"
    if device == "mps" and sys.platform != "darwin":
        return "only Macs have that"
    return None


def _torch() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return ""
