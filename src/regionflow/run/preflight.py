"""What can be known to fail before any job starts: weights that are not there, models that do not exist."""

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from regionflow.base.options import Options
from regionflow.base.remember import remembered
from regionflow.config.types import Config
from regionflow.features.options import TimmOptions
from regionflow.weights.files import PUBLISHED, downloadable, weights_path


def problems(config: Config) -> list[str]:
    """One line per variant under `targets` that cannot work, with the path of its key."""
    return [problem for key, options in _targeted(config) for problem in _check(key, options)]


def _targeted(config: Config) -> Iterator[tuple[str, Options]]:
    segmenters = {config.regions[name].segmenter for name in config.targets.regions} - {None}
    yield from ((f"segmenters.{name}", config.segmenters[name]) for name in sorted(map(str, segmenters)))
    yield from ((f"extractors.{name}", config.extractors[name]) for name in config.targets.extractors)


def _check(key: str, options: Options) -> Iterator[str]:
    path = weights_path(options)
    if path is not None and not path.is_file() and not downloadable(path):
        yield f"{key}.checkpoint: {path} is not there; {_where_from(path)}"
    if isinstance(options, TimmOptions):
        problem = remembered(f"problem of timm model {options.model}", version("timm"), lambda: _unknown(options.model))
        if problem:
            yield f"{key}.model: {problem}"


def _where_from(path: Path) -> str:
    if path.name in PUBLISHED:
        return f"get it first with `snakemake --cores 1 weights/{path.name}`, since its sha256 is not known beforehand"
    return "put the file there or change the key"


def _unknown(name: str) -> str | None:
    """Why timm cannot make a model of that name; importing timm takes seconds, hence the memory."""
    from regionflow.features.errors import ExtractorError
    from regionflow.features.timm_load import check_name

    try:
        check_name(name)
    except ExtractorError as error:
        return str(error)
    return None
