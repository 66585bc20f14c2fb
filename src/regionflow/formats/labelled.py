"""The region file of an image together with its label file, which must be of the same regions."""

from pathlib import Path

from regionflow.base.errors import BadFile
from regionflow.formats.labels import Labels, read_labels
from regionflow.formats.regions import RegionFile, read_regions


def read_labelled(regions: Path, labels: Path, image_id: str) -> tuple[RegionFile, Labels]:
    """The regions of one image and their labels.

    Raises BadFile, naming the file, if one is damaged or of another image, or if the labels are of other regions.
    """
    region_file, label_file = read_regions(regions, image_id), read_labels(labels, image_id)
    if label_file.regions_sha256 != region_file.sha256:
        raise BadFile.to_be_remade(f"{labels}: it labels another version of the image's region file")
    return region_file, label_file
