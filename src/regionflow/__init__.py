"""regionflow: a folder of images becomes masks, regions, region features and cluster labels.

`load` reads the results of a run. `segmenter`, `extractor` and `pool` do the work of the stages without a workflow:

image = regionflow.read_image(Path("photo.jpg"))
masks = regionflow.segmenter(GraphOptions()).generate(image)
feature_map = regionflow.extractor(PRESETS["dinov2_vitl14"], "cuda").extract(image)
features = regionflow.pool(feature_map, [mask["segmentation"] for mask in masks]).features   # float32 [R, C]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regionflow.dataset import load
    from regionflow.features.kinds import extractor
    from regionflow.images.read import read_image
    from regionflow.masks.kinds import segmenter
    from regionflow.pooled.pool import pool

__version__ = "0.1.0"
__all__ = ["__version__", "extractor", "load", "pool", "read_image", "segmenter"]

_HOMES = {
    "extractor": "regionflow.features.kinds",
    "load": "regionflow.dataset",
    "pool": "regionflow.pooled.pool",
    "read_image": "regionflow.images.read",
    "segmenter": "regionflow.masks.kinds",
}


def __getattr__(name: str) -> Any:
    # On demand, so that importing one module of the library does not import all of them.
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
