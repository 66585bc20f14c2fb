"""The colours of label maps."""

import numpy as np
from numpy.typing import NDArray

# Okabe and Ito's colour-blind-safe palette without black; see `palette`.
OKABE_ITO = np.array(
    [[0, 114, 178], [230, 159, 0], [0, 158, 115], [204, 121, 167], [86, 180, 233], [213, 94, 0], [240, 228, 66]],
    dtype=np.float64,
)


def palette(n: int) -> NDArray[np.uint8]:
    """n colours [n, 3] RGB; the first seven can be told apart with colour vision deficiencies.

    Beyond seven the hues repeat, each round darker or lighter.
    """
    rounds = [1.0, 0.6, 1.35, 0.4, 0.8, 1.2, 1.7, 0.5, 1.5, 0.7, 1.1, 0.3]
    shades = np.array([rounds[(i // len(OKABE_ITO)) % len(rounds)] for i in range(n)])[:, None]
    base = OKABE_ITO[np.arange(n) % len(OKABE_ITO)]
    lighter = 255 - (255 - base) / np.maximum(shades, 1)
    return np.clip(np.where(shades > 1, lighter, base * shades), 0, 255).astype(np.uint8)
