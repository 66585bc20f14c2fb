"""regionflow: a folder of images becomes masks, regions, region features and cluster labels."""

from importlib.metadata import version

__version__ = version("regionflow")
