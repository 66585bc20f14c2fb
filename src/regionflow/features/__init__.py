"""Feature extractors: an image becomes a feature map [C, h, w] that knows where it lies on the image."""
