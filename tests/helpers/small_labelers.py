"""Labelers of every kind that look at images, with random weights that build in an instant."""

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

CLIP = "regionflow-small-clip"
_CLASSES = ["sky", "wooden table"]
_OFTEN_NONE = {"min_score": 0.9, "tables": ["words.tsv"]}
"""So that most regions have no class, and pixels vote, and classes are merged."""


def labelers(folder: Path) -> dict[str, dict[str, Any]]:
    """Variants by name, of the libraries that are installed; their files are written to `folder`."""
    variants: dict[str, dict[str, Any]] = {}
    (folder / "words.tsv").write_text("source\ttarget\nsky\tair\nwooden table\tfurniture\n")
    if find_spec("open_clip") is not None:
        _save_seem(folder / "seem.safetensors")
        variants["seem"] = {
            "type": "seem",
            "checkpoint": "seem.safetensors",
            "classes": _CLASSES,
            "short_side": 96,
            **_OFTEN_NONE,
        }
        variants["seem_published"] = {**variants["seem"], "as_published": True, "seed": 3, "visible": True}
        _know_clip(folder / "clip")
        words = {
            "type": "words",
            "classes": _CLASSES,
            "model": CLIP,
            "random_seed": 0,
            "templates": ["a {}."],
            **_OFTEN_NONE,
        }
        variants["words_pooled"] = {**words, "extractor": "vit"}
        variants["words_both"] = {**words, "regions": "both"}
        variants["words_attention"] = {**words, "regions": "attention", "keys": "own"}
    if find_spec("transformers") is not None:
        _save_segformer(folder / "segformer")
        variants["transformers"] = {"type": "transformers", "model": "segformer", "dense_side": 64, **_OFTEN_NONE}
        variants["transformers"]["tables"] = ["labels.tsv"]
        rows = "".join(f"LABEL_{i}\tclass {i // 2}\n" for i in range(4))
        (folder / "labels.tsv").write_text("source\ttarget\n" + rows)
    return variants


def _save_seem(path: Path) -> None:
    from regionflow.semantics.seem_checkpoint import random_state
    from regionflow.semantics.seem_network import SeemSize

    size = SeemSize(8, (1, 1, 2, 1), 4, 3, 32, 1, 1, 8, 48, 11, 49408, 32, 1, 77)
    save_file({key: value.contiguous() for key, value in random_state(size, 0).items()}, path)


def _know_clip(folder: Path) -> None:
    """Have open_clip know a model of our own in this process."""
    import open_clip

    folder.mkdir(exist_ok=True)
    vision = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 16}
    text = {"context_length": 77, "vocab_size": 49408, "width": 64, "heads": 2, "layers": 2}
    content = {"embed_dim": 64, "vision_cfg": vision, "text_cfg": text}
    (folder / f"{CLIP}.json").write_text(json.dumps(content))
    open_clip.add_model_config(folder)


def _save_segformer(folder: Path) -> None:
    import torch
    import transformers

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.SegformerForSemanticSegmentation(
            transformers.SegformerConfig(
                **{"hidden_sizes": [8, 8, 16, 16], "num_attention_heads": [1, 1, 2, 2], "depths": [1, 1, 1, 1]},
                **{"decoder_hidden_size": 8, "num_labels": 4},
            )
        )
    model.save_pretrained(folder)
    transformers.SegformerImageProcessor(size={"height": 32, "width": 32}).save_pretrained(folder)
