"""Masks and superpixels become regions."""
