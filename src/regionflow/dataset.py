"""The results of a run as a data set: `regionflow.load("results")`.

regions = regionflow.load("results")
regions.features[:100]        # float32 [100, C], read from disk on demand
regions.cluster               # int [N], -1 where there is none
regions.mask(7)               # bool [H, W]
regions.parent                # int [N], row of the region that each lies in, -1 where there is none
pandas.DataFrame(regions.table())
"""

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from regionflow.base.errors import BadFile
from regionflow.formats import rle
from regionflow.formats.labels import NO_CLUSTER, Labels, read_label_map, read_labels
from regionflow.formats.nesting import NO_PARENT, parents
from regionflow.formats.pooled import SetColumn, image_ids, regions_checksums
from regionflow.formats.regions import Annotation, read_regions, region_id
from regionflow.formats.semantics import NONE, read_semantics


class ResultsError(BadFile):
    """Results that are not there or do not belong together; the text names the file and what to do."""


def load(results: str | Path = "results", extractor: str | None = None, regions: str | None = None) -> "RegionSet":
    """Open the regions of a whole set; nothing but the list of images is read until it is asked for.

    Args:
        results: folder that the workflow has made.
        extractor: name of the extractor, regions: name of the regions; needed only if the folder holds several.

    Raises:
        ResultsError: there is no such set, or several and the names do not choose one.
    """
    root = Path(results)
    # Per-image files lie one level deeper, in a folder of the set file's name.
    sets = {(path.parent.name, path.stem): path for path in sorted((root / "pooled").glob("*/*.h5"))}
    chosen = {
        names: path for names, path in sets.items() if extractor in (None, names[0]) and regions in (None, names[1])
    }
    if not sets:
        what = "no such folder" if not root.is_dir() else "no region features in it (pooled/EXTRACTOR/REGIONS.h5)"
        raise ResultsError(f"{root}: {what}; run snakemake, or name the folder that it has made")
    if len(chosen) != 1:
        have = ", ".join(f"extractor={e!r} regions={r!r}" for e, r in chosen or sets)
        what = "several sets of regions" if chosen else "no such set of regions"
        raise ResultsError(f"{root}: {what}; choose one by `extractor` and `regions` (there are: {have})")
    ((names, path),) = chosen.items()
    return RegionSet(root, *names, path)


class RegionSet:
    """All regions of a set, one row each: arrays [N] and features [N, C] over the workflow's files.

    Rows are sorted by image, then as in the image's region file. `features` is read slice by slice; arrays are kept
    once read. The set's file is compared with its checksum first, which takes about two seconds per GB.

    Raises BadFile, naming the file, if it is damaged.
    """

    def __init__(self, root: Path, extractor: str, regions: str, path: Path) -> None:
        self.root, self.extractor, self.regions, self._path = root, extractor, regions, path
        self.image_ids: list[str] = image_ids(path)
        self.features = SetColumn(path)
        self._regions_sha256 = regions_checksums(path)
        self._place = {image: index for index, image in enumerate(self.image_ids)}
        self._last: tuple[int, list[Annotation]] | None = None

    def __len__(self) -> int:
        return len(self.features)

    def __enter__(self) -> "RegionSet":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Nothing stays open between reads; this is here so that a `with` statement reads well."""

    @cached_property
    def image(self) -> NDArray[np.int64]:
        """Index into `image_ids` of each region's image [N]."""
        return self._column("image")

    @cached_property
    def region(self) -> NDArray[np.int64]:
        """Number of each region in its image's region file [N]."""
        return self._column("region")

    @cached_property
    def area(self) -> NDArray[np.int64]:
        """Area of each region in pixels [N]."""
        return self._column("area")

    @cached_property
    def bbox(self) -> NDArray[np.int64]:
        """Box of each region [N, 4]: x, y, width, height in pixels."""
        return self._column("bbox")

    @cached_property
    def region_id(self) -> list[str]:
        """Name of each region [N], as in the region and label files."""
        return [region_id(self.image_ids[i], r) for i, r in zip(self.image, self.region, strict=True)]

    @property
    def cluster(self) -> NDArray[np.int64]:
        """Cluster of each region [N]; -1 for none."""
        return self._labels[0]

    @property
    def distance(self) -> NDArray[np.float64]:
        """Distance of each region to its cluster's centre [N]; NaN without cluster."""
        return self._labels[1]

    @property
    def semantics(self) -> "dict[str, RegionNames]":
        """Class names by labeler: `regions.semantics["seem"].name` is a list [N]."""
        folders = sorted((self.root / "semantics").glob(f"*/{self.regions}"))
        return {folder.parent.name: RegionNames(self, folder) for folder in folders}

    def regions_sha256(self, index: int) -> str:
        """Checksum of the region file of the image at that place in `image_ids`."""
        return self._regions_sha256[index]

    def rows(self, image_id: str) -> NDArray[np.int64]:
        """Rows of one image's regions. Raises KeyError for an image that is not in the set."""
        if image_id not in self._place:
            raise KeyError(f"{image_id!r} is not an image of {self.root}")
        return self._rows_of(self._place[image_id])

    def blocks(self, size: int = 8192) -> Iterator[tuple[slice, NDArray[np.float32]]]:
        """All features in order, `size` rows at a time, with their rows."""
        for start in range(0, len(self), size):
            rows = slice(start, min(start + size, len(self)))
            yield rows, self.features[rows]

    def mask(self, row: int) -> NDArray[np.bool_]:
        """Mask [H, W] of one region. Raises ResultsError if its region file has been remade since."""
        annotations = self._regions_of(int(self.image[row]))
        return rle.decode(annotations[int(self.region[row])]["segmentation"])

    def _regions_of(self, image: int) -> list[Annotation]:
        """The regions of the image at that place in `image_ids`; of the last image they are kept."""
        if self._last is None or self._last[0] != image:
            path = self.root / "regions" / self.regions / f"{self.image_ids[image]}.json"
            file = read_regions(path, self.image_ids[image])
            if file.sha256 != self._regions_sha256[image]:
                raise ResultsError(f"{path}: its regions are not those that were pooled; run snakemake again")
            self._last = image, file.annotations
        return self._last[1]

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        """One past the last row of each image."""
        return np.cumsum(np.bincount(self.image, minlength=len(self.image_ids)))

    def _rows_of(self, image: int) -> NDArray[np.int64]:
        """Rows of the image at that place in `image_ids`."""
        return np.arange(self._ends[image - 1] if image else 0, self._ends[image])

    @cached_property
    def parent(self) -> NDArray[np.int64]:
        """Row of the region that each lies in [N]: the smallest larger one that holds 90 % of it; -1 for none.

        Raises ResultsError if a region file has been remade since.
        """
        parent = np.full(len(self), NO_PARENT)
        for index in np.unique(self.image):
            rows = self._rows_of(index)
            above = parents([a["segmentation"] for a in self._regions_of(int(index))])
            row_of = dict(zip(self.region[rows].tolist(), rows.tolist(), strict=True))
            for row in rows:
                holder = int(above[self.region[row]])
                while holder != NO_PARENT and holder not in row_of:  # a region that was not pooled has no row
                    holder = int(above[holder])
                parent[row] = row_of.get(holder, NO_PARENT)
        return parent

    def children(self, row: int) -> NDArray[np.int64]:
        """Rows of the regions whose parent is the one of that row."""
        return np.flatnonzero(self.parent == row)

    def table(self) -> NDArray[np.void]:
        """One record per region, for `pandas.DataFrame`: ids, box, area, cluster and distance, without the features."""
        images = np.array(self.image_ids, dtype=np.str_)[self.image]
        columns = {
            "image_id": images,
            "region_id": np.array(self.region_id, dtype=np.str_),
            "region": self.region,
            **{name: self.bbox[:, i] for i, name in enumerate(("x", "y", "width", "height"))},
            "area": self.area,
            "cluster": self.cluster,
            "distance": self.distance,
        }
        table = np.empty(len(self), dtype=[(name, values.dtype) for name, values in columns.items()])
        for name, values in columns.items():
            table[name] = values
        return table

    def to_xarray(self) -> Any:
        """The set as an `xarray.Dataset` with named dimensions: features (region, channel) and the columns of `table`.

        All is read into memory.

        Raises ResultsError if xarray is not installed.
        """
        try:
            import xarray
        except ImportError:
            raise ResultsError("to_xarray needs xarray: pip install xarray") from None
        table = self.table()
        columns = {name: ("region", table[name]) for name in table.dtype.names or ()}
        number = {"number": columns.pop("region")}  # a variable of a dimension's name would be its index
        features = {"features": (("region", "channel"), self.features[:])}
        about = {"extractor": self.extractor, "regions": self.regions}
        return xarray.Dataset(features | columns | number, coords={"region": table["region_id"]}, attrs=about)

    def _column(self, name: str) -> NDArray[np.int64]:
        return SetColumn(self._path, name)[:]

    @cached_property
    def _labels(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        cluster, distance = np.full(len(self), NO_CLUSTER), np.full(len(self), np.nan)
        for index in np.unique(self.image):
            rows = self._rows_of(index)
            labels = self._image_labels(self.image_ids[index])
            same_regions = labels.regions_sha256 == self._regions_sha256[index]
            if not same_regions or list(labels.cluster) != [self.region_id[row] for row in rows]:
                raise ResultsError(
                    f"{self.root}: labels and features of image {self.image_ids[index]!r} are of different regions; "
                    "run snakemake again"
                )
            cluster[rows] = list(labels.cluster.values())
            distance[rows] = [np.nan if d is None else d for d in labels.distance.values()]
        return cluster, distance

    def _image_labels(self, image_id: str) -> Labels:
        path = self.root / "labels" / self.extractor / self.regions / f"{image_id}.json"
        return read_labels(path, image_id)


class RegionNames:
    """The classes that one labeler gave to the regions of a set, in the order of its rows; read when asked for."""

    def __init__(self, regions: RegionSet, folder: Path) -> None:
        self._regions, self._folder = regions, folder

    @property
    def classes(self) -> list[str]:
        """All class names; class value c + 1 is the c-th."""
        return self._read[0]

    @property
    def value(self) -> NDArray[np.int64]:
        """Class value of each region [N], as in the label maps; 0 for none."""
        return self._read[1]

    @property
    def score(self) -> NDArray[np.float64]:
        """Score of each region's class [N], 0 to 1."""
        return self._read[2]

    @property
    def name(self) -> list[str | None]:
        """Class name of each region [N]; None for none."""
        return [None if value == NONE else self.classes[value - 1] for value in self.value.tolist()]

    def map(self, image_id: str) -> NDArray[np.int64]:
        """Class value of every pixel of an image [H, W]; 0 for none. Raises BadFile if there is no such map."""
        return read_label_map(self._folder / f"{image_id}.png", image_id)

    @cached_property
    def _read(self) -> tuple[list[str], NDArray[np.int64], NDArray[np.float64]]:
        classes: list[str] = []
        known: dict[str, tuple[int, float]] = {}
        for index in np.unique(self._regions.image).tolist():
            image = self._regions.image_ids[index]
            file = read_semantics(self._folder / f"{image}.json", image)
            classes = classes or file.classes
            if file.classes != classes:
                raise ResultsError(f"{self._folder}: images have different classes; run snakemake again")
            if file.regions_sha256 != self._regions.regions_sha256(index):
                raise ResultsError(f"{self._folder}: {image} has names of other regions; run snakemake again")
            known.update({region.region_id: (region.value, region.score) for region in file.regions})
        missing = [name for name in self._regions.region_id if name not in known]
        if missing:
            raise ResultsError(f"{self._folder}: region {missing[0]} has no class; run snakemake again")
        both = [known[name] for name in self._regions.region_id]
        return classes, np.array([v for v, _ in both], np.int64), np.array([s for _, s in both], np.float64)
