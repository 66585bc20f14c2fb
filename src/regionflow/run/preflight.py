"""What can be known to fail before any job starts: weights that are not there, models that do not exist."""

from collections.abc import Iterator

from regionflow.base.options import Kind
from regionflow.config.types import Config
from regionflow.weights.files import missing_weights


def problems(config: Config) -> list[str]:
    """One line per variant under `targets` that cannot work, with the path of its key."""
    return [
        f"{key}.{problem}"
        for key, options in _targeted(config)
        for problem in (*missing_weights(options), *options.problems())
    ]


def _targeted(config: Config) -> Iterator[tuple[str, Kind]]:
    segmenters = {config.regions[name].segmenter for name in config.targets.regions} - {None}
    yield from ((f"segmenters.{name}", config.segmenters[name]) for name in sorted(map(str, segmenters)))
    yield from ((f"extractors.{name}", config.extractors[name]) for name in config.targets.extractors)
    yield from ((f"labelers.{name}", config.labelers[name]) for name in config.targeted_labelers)
