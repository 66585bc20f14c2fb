"""The base of errors whose text is all that a person needs: shown without a traceback."""


class UserError(ValueError):
    """Something to be mended outside the code: an image, a file, an option. The text names it and says what to do."""
