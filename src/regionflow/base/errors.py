"""The base of errors whose text is all that a person needs: shown without a traceback."""

from pathlib import Path


class UserError(ValueError):
    """Something to be mended outside the code: an image, a file, an option. The text names it and says what to do."""


class BadFile(UserError):
    """A file in results/ that cannot be used; the text names the file and says what to do."""

    @classmethod
    def damaged(cls, path: Path, what: str, reason: object) -> "BadFile":
        """The file is not what it should be: `what` is a noun with its article, `reason` what is wrong with it."""
        return cls(f"{path}: not {what} of this project, or damaged ({reason}); delete it and run again")
