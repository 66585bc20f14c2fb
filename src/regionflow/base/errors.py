"""The base of errors whose text is all that a person needs: shown without a traceback."""

from pathlib import Path
from typing import Self


class UserError(ValueError):
    """Something to be mended outside the code: an image, a file, an option. The text names it and says what to do.

    `passing`: another try may succeed with nothing mended, since a connection broke off or a card or disk was full just
    then. A job that fails with any other is not tried again within its run.
    """

    passing = False

    def of_the_moment(self) -> Self:
        """This error, marked as passing."""
        self.passing = True
        return self


class BadFile(UserError):
    """A file in results/ that cannot be used; the text names the file and says what to do.

    `unsound`: its content is at fault, so that deleting it and running again mends it. Not so for a file that is
    missing, locked, or that the system does not let us read. `whole`: it can be read, but is not what a job wrote: an
    edit by somebody, perhaps, whose work must not get lost.
    """

    unsound = False
    whole = False

    @classmethod
    def damaged(cls, path: Path, what: str, reason: object) -> Self:
        """The file is not what it should be: `what` is a noun with its article, `reason` what is wrong with it."""
        return cls.to_be_remade(f"{path}: not {what} of this project, or damaged ({reason})")

    @classmethod
    def to_be_remade(cls, problem: str) -> Self:
        """The content of a file is at fault; `problem` begins with its path."""
        error = cls(f"{problem}; delete it and run again")
        error.unsound = True
        return error

    @classmethod
    def replaced(cls, path: Path) -> Self:
        """The file can be read, but its content is not what the last job has written there."""
        error = cls.to_be_remade(f"{path}: not what was written there: changed, or another file in its place")
        error.whole = True
        return error

    @classmethod
    def not_read(cls, path: Path, error: OSError) -> Self:
        """The system did not let us read the file, whose content may be sound."""
        if isinstance(error, FileNotFoundError):
            return cls(f"{path}: no such file; run snakemake to make it")
        if isinstance(error, BlockingIOError):
            return cls(
                f"{path}: the file is locked: another program has it open for writing (a notebook, say); "
                "close it there and run again"
            ).of_the_moment()
        problem = f"{path}: cannot be read ({error.strerror or error}); the file itself may be sound"
        return cls(problem).of_the_moment()
