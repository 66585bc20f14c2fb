"""regionflow: a folder of images becomes masks, regions, region features and cluster labels."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from regionflow.dataset import load

__version__ = "0.1.0"
__all__ = ["__version__", "load"]


def __getattr__(name: str) -> Any:
    # On demand, so that importing one module of the library does not import HDF5.
    if name == "load":
        from regionflow.dataset import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
