"""What is known of a timm model before any job. Importing timm takes seconds, so the answer is remembered."""

from collections.abc import Iterator
from importlib.metadata import version
from typing import Any

from regionflow.base.errors import UserError
from regionflow.base.remember import remembered
from regionflow.weights import fetched
from regionflow.weights.fetched import Fetched


def timm_model(name: str) -> dict[str, Any]:
    """`problem`: why timm cannot make a model of that name, else None; `weights`: the file that it fetches, if any."""
    answer: dict[str, Any] = remembered(f"timm model {name}", version("timm"), lambda: _ask(name))
    return answer


def timm_width(name: str) -> int | None:
    """Numbers in the pooled features of a model; None if timm cannot make it without its weights."""
    width: int | None = remembered(f"timm width {name}", version("timm"), lambda: _ask_width(name))
    return width


def cannot_be_had(name: str) -> Iterator[str]:
    """One line, with what to fetch, if timm's own weights are not in its cache and cannot be fetched from here."""
    weights = timm_model(name)["weights"]
    if weights is not None:
        place = "name the file under `checkpoint`"
        yield from fetched.cannot_be_had([Fetched.from_json(weights)], "model", f"the weight file of {name}", place)


def _ask(name: str) -> dict[str, Any]:
    from regionflow.features.timm_names import check_name, fetched

    try:
        check_name(name)
    except UserError as error:
        return {"problem": str(error), "weights": None}
    file = fetched(name)
    return {"problem": None, "weights": None if file is None else file.to_json()}


def _ask_width(name: str) -> int | None:
    import timm
    import torch

    from regionflow.features.timm_names import pooled_width

    try:
        with torch.device("meta"):  # without memory and weights
            return pooled_width(timm.create_model(name))
    except Exception:
        # Models raise errors of many kinds; whatever this one is, it is told when it is loaded.
        return None
