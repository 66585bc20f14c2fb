"""The colours of label maps."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

# Okabe and Ito's colour-blind-safe palette without black; see `palette`.
OKABE_ITO = np.array(
    [[0, 114, 178], [230, 159, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233], [213, 94, 0], [240, 228, 66]],
    dtype=np.float64,
)
# RGB distance below which a colour is taken for one of the seven.
APART = 50


def palette(n: int) -> NDArray[np.uint8]:
    """n colours [n, 3] RGB; the first seven can be told apart with colour vision deficiencies.

    Then follow those of colorcet's glasbey_bw_minc_20_minl_30 (Glasbey et al. 2007: each as far as can be from all
    before, neither black, white nor grey) that are none of the seven. When these are used up, they repeat darker and
    lighter.
    """
    colours = OKABE_ITO if n <= len(OKABE_ITO) else _all()
    rounds = [1.0, 0.6, 1.35, 0.4, 0.8, 1.2, 1.7, 0.5, 1.5, 0.7, 1.1, 0.3]
    shades = np.array([rounds[(i // len(colours)) % len(rounds)] for i in range(n)])[:, None]
    base = colours[np.arange(n) % len(colours)]
    lighter = 255 - (255 - base) / np.maximum(shades, 1)
    return np.clip(np.where(shades > 1, lighter, base * shades), 0, 255).astype(np.uint8)


@cache
def _all() -> NDArray[np.float64]:
    from colorcet import glasbey_bw_minc_20_minl_30  # takes a moment, and few colours need no more

    colours = np.round(np.array(glasbey_bw_minc_20_minl_30) * 255)
    distance = np.linalg.norm(colours[:, None] - OKABE_ITO[None], axis=2).min(axis=1)
    return np.concatenate([OKABE_ITO, colours[distance >= APART]])
