"""What goes wrong with extractors."""


class ExtractorError(ValueError):
    """An extractor that cannot be built or run as its options say; the text names the model and what to do."""
