"""SLIC superpixels."""
