"""Which models timm has."""

from difflib import get_close_matches

import timm

from regionflow.features.errors import ExtractorError


def check_name(name: str) -> None:
    """Raise ExtractorError with the nearest names if timm has no model of that name."""
    known = {*timm.list_models(), *timm.list_models(pretrained=True)}
    if name not in known:
        near = get_close_matches(name, sorted(known), n=5, cutoff=0.5)
        hint = f"the nearest names are {', '.join(near)}" if near else "see timm.list_models(pretrained=True)"
        raise ExtractorError(f"timm {timm.__version__} has no model {name!r}; {hint}")
