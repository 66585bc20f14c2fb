"""Options of the clusters."""

from typing import Annotated

from pydantic import Discriminator, Field, Tag, field_validator

from regionflow.base.options import Count, NotNegative, Options, Seed

ClusterCount = Annotated[int, Field(ge=2, le=65534)]
# Told apart first, so that a mistake is told once and not once for each type.
OneOrSeveral = Annotated[
    Annotated[ClusterCount, Tag("one")] | Annotated[list[ClusterCount], Field(min_length=1), Tag("several")],
    Discriminator(lambda k: "several" if isinstance(k, list) else "one"),
]


class ClustersOptions(Options):
    """Clusters of region features over the whole set, by sklearn.cluster.MiniBatchKMeans."""

    k: OneOrSeveral = 16
    """Number of clusters. With a list each is fitted and compared in clusters/.../comparison.tsv; the labels are of
    the first."""
    seed: Seed = 0
    """Seed of the k-means++ start and of the order in which regions are seen."""
    batch_size: Count = 1024
    """Regions per mini-batch. It changes the centres, so it counts as an option that changes results."""
    max_epochs: Count = 20
    """Passes over the set at most."""
    tolerance: NotNegative = 1e-4
    """Stop when a pass moves the centres by less than this share of the features' spread."""
    init_regions: Count = 20000
    """Size of the seeded sample, taken over all images, on which k-means++ chooses the first centres."""
    fit_splits: Annotated[list[str], Field(min_length=1)] | None = None
    """Splits to whose regions the centres are fitted; the others are only labelled. null: train where the set has a
    split of that name, else all images."""
    as_published: bool = False
    """ALPS's online k-means as published: one unshuffled pass, split by split in the order of fit_splits, started on
    the first batch alone. max_epochs, tolerance and init_regions then have no effect."""
    model: str | None = None
    """Centres of an earlier run (its clusters/.../centroids.h5, kept elsewhere): nothing is fitted and the other keys
    have no effect, so new images are labelled without touching old ones. {extractor} and {regions} are filled in."""

    @field_validator("model")
    @classmethod
    def _known_names(cls, model: str | None) -> str | None:
        try:
            (model or "").format(extractor="", regions="")
        except (KeyError, IndexError, ValueError):
            raise ValueError("only {extractor} and {regions} are filled in") from None
        return model

    @field_validator("k")
    @classmethod
    def _different(cls, k: int | list[int]) -> int | list[int]:
        if isinstance(k, list) and len(set(k)) < len(k):
            raise ValueError("the numbers must differ")
        return k

    @property
    def all_k(self) -> list[int]:
        """Every number of clusters that is fitted."""
        return self.k if isinstance(self.k, list) else [self.k]

    @property
    def first_k(self) -> int:
        """The number of clusters that the labels have."""
        return self.all_k[0]
