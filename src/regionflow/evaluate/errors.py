"""What is wrong with ground truth, for people to read."""

from regionflow.base.errors import UserError


class TruthError(UserError):
    """Ground truth that cannot be used; the text names the file or the key."""
