"""Automatic labels: clusters of region features."""
