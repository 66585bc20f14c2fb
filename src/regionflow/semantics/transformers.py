"""Any semantic or universal segmentation model of the transformers library as a labeler.

One adapter: the image processor's own post-processing gives the score of every class at every pixel.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regionflow.base.errors import UserError
from regionflow.semantics.fuse import LabelScores, normalised
from regionflow.semantics.seen import Seen
from regionflow.semantics.transformers_options import FILES, TransformersOptions
from regionflow.weights.download import DownloadError
from regionflow.weights.fetched import Fetched, fetch

MISSING = "transformers is not installed: pip install 'regionflow[semantics]'"
SUFFIXES = ("ForUniversalSegmentation", "ForSemanticSegmentation", "ForInstanceSegmentation")


class TransformersLabeler:
    """A model and its image processor.

    Raises UserError, naming the model, if it is damaged or gives no semantic scores, DownloadError if it cannot be had.
    """

    def __init__(self, options: TransformersOptions, device: str = "cpu") -> None:
        self._options, self._device = options, device
        self._processor, model = _load(options.model)
        self._model = model.to(device).eval().requires_grad_(False)
        known = model.config.id2label
        self.names = [str(known[i]) for i in range(len(known))]

    def label(self, seen: Seen) -> LabelScores:
        """Scores of an image; regions take the means of its dense map."""
        return replace(self.scores(seen.pixels), names=self.names)

    @torch.inference_mode()
    def scores(self, image: NDArray[np.uint8]) -> LabelScores:
        """The dense map of an RGB image [H, W, 3], no larger than `dense_side`; regions take its means."""
        height, width = image.shape[:2]
        scale = min(1.0, self._options.dense_side / max(height, width))
        size = max(1, round(height * scale)), max(1, round(width * scale))
        # OneFormer asks for its task in words; the other processors do not know the argument.
        task = {"task_inputs": ["semantic"]} if self._model.config.model_type == "oneformer" else {}
        inputs = self._processor(images=image, return_tensors="pt", **task)
        offsets = inputs.pop("patch_offsets", None)
        tensors = {key: value.to(self._device) for key, value in inputs.items() if isinstance(value, torch.Tensor)}
        outputs = self._model(**tensors, **({} if offsets is None else {"patch_offsets": offsets}))
        post = getattr(self._processor, "image_processor", self._processor).post_process_semantic_segmentation
        (result,) = post(outputs, target_sizes=[size], return_segmentation_scores=True)
        dense = result["segmentation_scores"].float()
        if not hasattr(outputs, "class_queries_logits"):
            return LabelScores(dense=dense.softmax(dim=0).cpu().numpy())
        return LabelScores(dense=normalised(dense.cpu().numpy()))


def _load(name: str) -> tuple[Any, Any]:
    """Processor and model of a folder or hub name."""
    try:
        import transformers
    except ImportError as error:
        raise UserError(MISSING) from error
    try:
        if not Path(name).is_dir():
            for names in FILES:
                fetch(Fetched(repo=name, names=names))
        config = transformers.AutoConfig.from_pretrained(name)
        architecture = next(iter(config.architectures or ()), "")
        if not architecture.endswith(SUFFIXES) or not hasattr(transformers, architecture):
            raise UserError(
                f"{name}: {architecture or 'no architecture'} gives no semantic scores; see docs/semantics.md"
            )
        auto = transformers.AutoProcessor if config.model_type == "oneformer" else transformers.AutoImageProcessor
        processor = auto.from_pretrained(name)
        model = getattr(transformers, architecture).from_pretrained(name)
    except (OSError, ValueError, ImportError) as error:
        if isinstance(error, UserError):
            raise
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        problem = f"{name}: the model cannot be loaded ({first})"
        if Path(name).is_dir():
            raise UserError(problem) from error
        raise DownloadError(f"{problem}; connect once, or give a folder with the model") from error
    if not hasattr(getattr(processor, "image_processor", processor), "post_process_semantic_segmentation"):
        raise UserError(f"{name}: its image processor has no semantic post-processing; see docs/semantics.md")
    return processor, model
