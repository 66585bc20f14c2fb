"""Values that arrive as text: what the command line and YAML 1.1 make of numbers, booleans and null."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from regionflow.base.errors import UserError

_WORDS = {"true": True, "false": False, "null": None, "~": None}
_WHOLE = re.compile(r"[-+]?[0-9]+")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")


def scalar(text: str) -> Any:
    """What YAML 1.2 reads in a plain word: a number (also 1e-4, which YAML 1.1 takes for text), boolean or null.

    Anything else comes back as the text that it is.
    """
    word = text.strip()
    if word.lower() in _WORDS:
        return _WORDS[word.lower()]
    if _WHOLE.fullmatch(word):
        return int(word)
    return float(word) if _NUMBER.fullmatch(word) else text


def with_arguments(values: Mapping[str, Any], arguments: Sequence[str]) -> dict[str, Any]:
    """The values with those of `--config key=value ...` read as YAML.

    Snakemake has laid the arguments over the configuration already, but with every leaf as text: {k: "46"}.

    Raises UserError, naming the argument, for one that is not YAML.
    """
    merged = dict(values)
    for argument in arguments:
        key, _, text = argument.partition("=")
        try:
            value = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise UserError(f"--config {argument}: not YAML ({' '.join(str(error).split())})") from None
        if key in merged:
            merged[key] = _laid_over(merged[key], value)
    return merged


def _laid_over(below: Any, above: Any) -> Any:
    if not isinstance(below, Mapping) or not isinstance(above, Mapping):
        return above
    return {**below, **{key: _laid_over(below.get(key), value) for key, value in above.items()}}
