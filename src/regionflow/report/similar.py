"""Features of the regions on the page in few bytes, so that the page itself can find regions like one of them.

The rule: of the images shown in full, the `count` regions of the largest area; their features' first 32 principal
components, fitted to a seeded sample of the set, as one byte each. Near in them is near in the space of the clusters,
as far as the components hold its variance, which the page tells.
"""

import base64
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from threadpoolctl import threadpool_limits

from regionflow.formats.pooled import SetColumn, image_ids

COMPONENTS = 32
SAMPLE = 5000


def similar_features(path: Path, shown: Sequence[str], count: int) -> dict[str, Any]:
    """Columns `image` (place in `shown`) and `region` of the regions, and `values` int8 [N, D] in base64, with the
    share of the variance (`variance`) that D components hold; N = 0 if there is too little to fit them to."""
    every = SetColumn(path)
    place_of = {image: i for i, image in enumerate(shown)}
    places = np.array([place_of.get(image, -1) for image in image_ids(path)], np.int64)
    image, area = places[SetColumn(path, "image")[:]], SetColumn(path, "area")[:]
    rows = np.flatnonzero(image >= 0)
    rows = np.sort(rows[np.argsort(-area[rows], kind="stable")[:count]])
    features = every.take(rows)
    good = np.isfinite(features).all(axis=1)
    rows, features = rows[good], features[good]
    fitted = every.take(np.sort(np.random.default_rng(0).permutation(len(every))[:SAMPLE]))
    fitted = fitted[np.isfinite(fitted).all(axis=1)]
    if len(rows) < 2 or len(fitted) < 4:
        return {"image": [], "region": [], "values": "", "components": 0, "variance": 0.0}
    with threadpool_limits(1):
        pca = PCA(min(COMPONENTS, *fitted.shape), random_state=0).fit(fitted)
        values = pca.transform(features)
    scale = 127 / max(float(np.abs(values).max()), 1e-12)
    return {
        "image": image[rows].tolist(),
        "region": SetColumn(path, "region").take(rows).tolist(),
        "values": base64.b64encode(np.rint(values * scale).astype(np.int8).tobytes()).decode("ascii"),
        "components": int(values.shape[1]),
        "variance": round(float(pca.explained_variance_ratio_.sum()), 4),
    }
