"""The one error of reading an image."""

from regionflow.base.errors import UserError


class UnreadableImage(UserError):
    """An image that cannot become RGB pixels; the text is the reason, for people."""
