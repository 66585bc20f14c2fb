"""Feature maps of timm models, aligned with the image."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import timm
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from regionflow.base.arrays import check_rgb
from regionflow.base.later import Beside, Later, OnCard, at_once
from regionflow.features.errors import ExtractorError
from regionflow.features.options import TimmOptions
from regionflow.features.pixels import DTYPES, frame, normalise
from regionflow.features.timm_load import load_model, tensors_sha256
from regionflow.formats.features import FeatureMap
from regionflow.formats.geometry import Geometry
from regionflow.sam.memory import Batches, to_host


class TimmExtractor:
    """A timm model as an extractor: layers without prefix tokens, concatenated, and the geometry of its input.

    Normalisation and interpolation come from the model's own configuration. Raises ExtractorError or CheckpointError,
    naming model or file, if it cannot be built.
    """

    def __init__(self, options: TimmOptions, device: str = "cpu") -> None:
        model: Any = load_model(options)
        self._options = options
        self._device = device
        self._batches = Batches(device)
        self._config = model.pretrained_cfg
        self._layers = _resolve_layers(options, len(model.feature_info))
        self._multiple = options.multiple or max(int(info["reduction"]) for info in model.feature_info)
        if options.value_path:
            _check_clip(model, options.model)
        self._provenance = {"timm": timm.__version__, "tensors_sha256": tensors_sha256(model)}
        self._model = model.to(device, DTYPES[options.dtype])

    def extract(self, image: NDArray[np.uint8]) -> FeatureMap:
        """Feature map [C, h, w] (float32) of an RGB image [H, W, 3].

        Raises ExtractorError if the model does not take an input of this size, or the device's memory is too small.
        """
        return self.begin([image])[0](at_once)()

    def begin(self, images: Sequence[NDArray[np.uint8]]) -> list[OnCard[FeatureMap]]:
        """Begin with several images; for each, in their order, what is left to do for what `extract` gives.

        Images whose inputs are of one size go through the model together, as many as a card's memory takes
        (regionflow.sam.memory.Batches). On a card features differ from those of one image by itself by what kernels for
        other batch sizes round otherwise; on the CPU each image goes by itself, so that they are the same to the bit.
        Raises what `extract` raises.
        """
        framed = [self._framed(image) for image in images]
        by_size: dict[tuple[int, ...], list[int]] = {}
        for number, (_, pixels) in enumerate(framed):
            by_size.setdefault(pixels.shape, []).append(number)
        begun: dict[int, OnCard[FeatureMap]] = {}
        for size, numbers in by_size.items():
            inputs = [framed[number][1] for number in numbers]
            try:
                for number, made in zip(
                    numbers, self._batches.results(inputs, self._features, inputs[0].size), strict=True
                ):
                    begun[number] = self._to_host(made, framed[number][0])
            except torch.OutOfMemoryError as error:
                hint = "another dtype, geometry resize_long with a smaller size, or the CPU"
                raise self._refusal(size, error, hint).of_the_moment() from error
        return [begun[number] for number in range(len(images))]

    def _framed(self, image: NDArray[np.uint8]) -> tuple[Geometry, NDArray[np.uint8]]:
        check_rgb(image, "timm extractor")
        geometry = self.geometry(*image.shape[:2])
        return geometry, frame(image, geometry, self._config["interpolation"])

    def _features(self, pixels: Sequence[NDArray[np.uint8]]) -> Sequence[Tensor]:
        """Features [C, h, w] of inputs of one size, on the device."""
        mean, std = self._config["mean"], self._config["std"]
        batch = torch.cat([normalise(one, mean, std, self._device) for one in pixels])
        with torch.inference_mode():
            return self._forward(batch.to(DTYPES[self._options.dtype])).unbind()

    def _to_host(self, features: Tensor, geometry: Geometry) -> OnCard[FeatureMap]:
        copied = to_host(features.float())

        def on_card(beside: Beside) -> Later[FeatureMap]:
            values = copied().numpy()
            feature_map = FeatureMap(values, replace(geometry, grid=values.shape[1:]), self._provenance)
            return lambda: feature_map

        return on_card

    def geometry(self, height: int, width: int) -> Geometry:
        """How an image of this size lies in the model's input."""
        kind, multiple = self._options.geometry, self._multiple
        if kind == "pad":
            return Geometry.pad_to_multiple(height, width, multiple)
        size = self._options.size or int(self._config["input_size"][1])
        if kind == "square":
            return Geometry.resize_into_square(height, width, size, multiple)
        return Geometry.resize(height, width, size, "long" if kind == "resize_long" else "short", multiple)

    def _forward(self, batch: Tensor) -> Tensor:
        try:
            if self._options.value_path:
                return value_path(self._model, batch)
            maps = self._model.forward_intermediates(
                batch,
                indices=sorted(set(self._layers)),
                norm=self._options.norm,
                stop_early=True,
                intermediates_only=True,
            )
        except torch.OutOfMemoryError:
            raise
        except (AssertionError, RuntimeError) as error:
            hint = "geometry square, another size or multiple, or norm false"
            raise self._refusal(tuple(batch.shape[2:]), error, hint) from error
        by_layer = dict(zip(sorted(set(self._layers)), maps, strict=True))
        chosen = [by_layer[layer] for layer in self._layers]
        if len({m.shape[2:] for m in chosen}) > 1:
            shapes = ", ".join(f"{m.shape[2]} x {m.shape[3]}" for m in chosen)
            raise ExtractorError(f"layers of {self._options.model} have different grids ({shapes}); choose one of them")
        return torch.cat(chosen, dim=1)

    def _refusal(self, size: tuple[int, ...], error: Exception, hint: str) -> ExtractorError:
        """What to tell of an input that the model does not take."""
        return ExtractorError(
            f"{self._options.model} fails on an input of {size[0]} x {size[1]} pixels ({error}); try {hint}"
        )


def value_path(model: Any, batch: Tensor) -> Tensor:
    """MaskCLIP features [B, D, h, w] of a timm CLIP ViT in the space of the text embeddings.

    The last block's attention is replaced by its value projection at each patch; the rest of the block, the final norm
    and CLIP's projection follow (Zhou, Loy and Dai, "Extract Free Dense Labels from CLIP", ECCV 2022).
    """
    block = model.blocks[-1]
    before = len(model.blocks) - 2
    patches = model.forward_intermediates(
        batch, indices=[before], norm=False, stop_early=True, output_fmt="NLC", intermediates_only=True
    )[0]
    values = block.attn.qkv(block.norm1(patches)).chunk(3, dim=-1)[2]
    patches = patches + block.ls1(block.attn.proj(values))
    patches = patches + block.ls2(block.mlp(block.norm2(patches)))
    projected = model.head(model.norm(patches))
    height, width = model.patch_embed.dynamic_feat_size(batch.shape[2:])
    return projected.transpose(1, 2).reshape(len(batch), -1, height, width)


def _check_clip(model: Any, name: str) -> None:
    is_clip = (
        isinstance(model, timm.models.VisionTransformer)
        and len(model.blocks) > 1
        and hasattr(model.blocks[-1].attn, "qkv")
        and isinstance(model.norm_pre, nn.LayerNorm)
        and isinstance(model.head, nn.Linear)
    )
    if not is_clip:
        raise ExtractorError(f"value_path needs a CLIP vision transformer with its projection; {name} is none")


def _resolve_layers(options: TimmOptions, depth: int) -> list[int]:
    """The layers counted from 0, in the order asked for."""
    for layer in options.layers:
        if not -depth <= layer < depth:
            raise ExtractorError(f"{options.model} has layers 0 to {depth - 1} (or -1 to -{depth}), not {layer}")
    return [layer % depth for layer in options.layers]
