"""Prompts of class names: the templates and tokens of CLIP, which open_clip brings along."""

import re
from collections.abc import Callable, Sequence
from typing import Any

from regionflow.base.errors import UserError

MISSING = "open_clip is not installed: pip install 'regionflow[semantics]'"


def open_clip() -> Any:
    """The library. Raises UserError, naming the extra, where it is not installed."""
    try:
        import open_clip
    except ImportError as error:
        raise UserError(MISSING) from error
    return open_clip


def imagenet_templates() -> Sequence[Callable[[str], str]]:
    """The 80 sentences of CLIP's paper that hold a class name."""
    open_clip()
    from open_clip.zero_shot_metadata import OPENAI_IMAGENET_TEMPLATES

    return OPENAI_IMAGENET_TEMPLATES


def plain(name: str) -> str:
    """A class name as it is said: without COCO's -merged, -other and -stuff."""
    return re.sub(r"-(other|merged|stuff)", "", name)
