"""regionflow: a folder of images becomes masks, regions, region features and cluster labels."""

__version__ = "0.1.0"
