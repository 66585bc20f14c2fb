"""What is known of a model of open_clip before any job. Importing it takes seconds, so the answer is remembered."""

from collections.abc import Iterator
from difflib import get_close_matches
from importlib.metadata import version
from typing import Any

from regionflow.base.remember import remembered
from regionflow.weights import fetched
from regionflow.weights.fetched import Fetched, either

CACHE = "~/.cache/clip"
"""Where open_clip keeps what it fetches from addresses."""
TOKENIZER = ("tokenizer.json", "spiece.model", "tokenizer_config.json", "vocab.txt")
WEIGHTS = "open_clip_pytorch_model.bin"
"""The file of a repository where open_clip's table names none."""


def problems(model: str, tag: str | None) -> Iterator[str]:
    """A model, or a tag of weights, that open_clip does not know, as "key: reason"."""
    known = _known(model, tag)
    if known["problem"] is not None:
        yield known["problem"]


def cannot_be_had(model: str, tag: str | None) -> Iterator[str]:
    """One line per key, with what to fetch, if files of a model are not there and cannot be fetched from here.

    tag: of the weights; None where they are local.
    """
    known = _known(model, tag)
    weights, words = ([Fetched.from_json(file) for file in known[key]] for key in ("weights", "words"))
    place = "name the file under `checkpoint`"
    yield from fetched.cannot_be_had(weights, "pretrained", f"the weight file {tag} of {model}", place)
    place = "copy its folder of the download cache (models--...) into the one here"
    yield from fetched.cannot_be_had(words, "model", f"what {model} splits words with", place)


def _known(model: str, tag: str | None) -> dict[str, Any]:
    answer: dict[str, Any] = remembered(
        f"open_clip model {model}, {tag}", version("open_clip_torch"), lambda: _ask(model, tag)
    )
    return answer


def _ask(model: str, tag: str | None) -> dict[str, Any]:
    import open_clip
    from open_clip.pretrained import get_pretrained_cfg

    nothing: dict[str, Any] = {"problem": None, "weights": [], "words": []}
    if model not in open_clip.list_models():
        near = ", ".join(get_close_matches(model, open_clip.list_models(), n=5, cutoff=0.5))
        advice = f"the nearest names are {near}" if near else "see open_clip.list_models()"
        return {**nothing, "problem": f"model: open_clip has no model {model!r}; {advice}"}
    if tag is not None and not get_pretrained_cfg(model, tag):
        tags = open_clip.list_pretrained_tags_by_model(model)
        known = f"; it has {', '.join(tags)}" if tags else ""
        reason = f"open_clip has no weights {tag!r} of {model}{known}; a local file goes under `checkpoint`"
        return {**nothing, "problem": f"pretrained: {reason}"}
    words = open_clip.get_model_config(model).get("text_cfg", {})
    files = [(words.get("hf_tokenizer_name"), TOKENIZER), (words.get("hf_model_name"), ("config.json",))]
    return {
        "problem": None,
        "weights": [] if tag is None else [weights_of(model, tag).to_json()],
        "words": [Fetched(repo=repo, names=names).to_json() for repo, names in files if repo],
    }


def weights_of(model: str, tag: str) -> Fetched:
    """The weight file that open_clip fetches for a model and a tag that it knows."""
    from open_clip.pretrained import get_pretrained_cfg

    config = get_pretrained_cfg(model, tag)
    if not config.get("hf_hub"):
        return Fetched(url=config["url"], folder=CACHE)
    repo, _, name = config["hf_hub"].rpartition("/")
    return Fetched(repo=repo, names=_either(name or WEIGHTS))


def _either(name: str) -> tuple[str, ...]:
    """open_clip's own default has a name for safetensors that does not follow from it."""
    return ("open_clip_model.safetensors", name) if name == WEIGHTS else either(name)
