"""Pillow's own limit of pixels, which knows nothing of `images.max_megapixels`, lifted where our files are opened."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from PIL import Image

_lock = threading.Lock()
_users: list[int | None] = []


@contextmanager
def without_pixel_limit() -> Iterator[None]:
    """The limit, which is one for the process, is off while any thread is in such a block.

    Beyond 179 megapixels Pillow refuses a picture. Who opens one of a size that has been agreed to (an image within
    `images.max_megapixels`, and what was made of it) has no use for that.
    """
    with _lock:
        _users.append(_users[0] if _users else Image.MAX_IMAGE_PIXELS)
        Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    finally:
        with _lock:
            limit = _users.pop()
            if not _users:
                Image.MAX_IMAGE_PIXELS = limit
