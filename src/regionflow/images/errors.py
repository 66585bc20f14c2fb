"""The errors of finding and reading images."""

from regionflow.base.errors import UserError


class UnreadableImage(UserError):
    """An image that cannot become RGB pixels; the text is the reason, for people."""


class ImageListError(UserError):
    """The list of images cannot be used; the text names every offending file."""
