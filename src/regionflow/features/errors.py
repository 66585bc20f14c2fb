"""What goes wrong with extractors."""

from regionflow.base.errors import UserError


class ExtractorError(UserError):
    """An extractor that cannot be built or run as its options say; the text names the model and what to do."""
