"""What pooling gives."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray


class Status(IntEnum):
    """What became of a region."""

    POOLED = 0
    NEAREST = 1
    NAN = 2
    DROPPED = 3


@dataclass(frozen=True)
class PooledRegions:
    """Region features (float32 [K, C]), which region each row is ([K] ascending), and the `Status` of all R regions."""

    features: NDArray[np.float32]
    region: NDArray[np.int64]
    status: NDArray[np.uint8]
