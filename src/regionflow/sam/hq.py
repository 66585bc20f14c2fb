"""TinyViT encoders and the HQ decoder from segment-anything-hq, imported without its side effects.

Importing the package warns on stderr and registers its own `tiny_vit_*` over timm's models of the same name, which a
process that also extracts features with timm must not see. So `register_model` does nothing during the import.
Import this module only when such a model is built.
"""

import warnings
from typing import TypeVar
from unittest import mock

from torch import Tensor

T = TypeVar("T")


def _leave_registry_alone(function: T) -> T:
    return function


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import timm.models.registry

    with mock.patch.object(timm.models.registry, "register_model", _leave_registry_alone):
        from segment_anything_hq.modeling import ImageEncoderViT, MaskDecoderHQ, Sam, TinyViT

__all__ = ["ImageEncoderViT", "MaskDecoderHQ", "MobileEncoder", "Sam", "TinyViT"]


class MobileEncoder(TinyViT):
    """MobileSAM's encoder: HQ-SAM's network without the early features, which only HQ-SAM's decoder reads."""

    def forward(self, x: Tensor) -> Tensor:
        """Encode images [B, 3, 1024, 1024] to [B, 256, 64, 64]."""
        return self.forward_features(x)[0]
