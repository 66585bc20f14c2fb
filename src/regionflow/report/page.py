"""Put data into a page: one HTML file that needs nothing else."""

import importlib.metadata
import json
import platform
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from regionflow import __version__
from regionflow.base.files import whole

HERE = Path(__file__).parent / "web"
SCRIPTS = (
    "base", "state", "unpack", "picture", "zoom", "pointer", "filters", "list", "tree", "selection", "example_files",
    "examples", "tiles", "galleries", "similar", "map", "lasso", "figures", "tables", "keys", "start",
)  # fmt: skip
"""The sources of the report page in the order in which they are joined; page_NAME.js of the other pages stand alone."""
LIBRARIES = (
    "snakemake", "torch", "timm", "segment-anything", "scikit-learn", "scikit-image", "numpy", "opencv-python-headless",
    "pillow", "pycocotools", "h5py",
)  # fmt: skip


def write_page(
    path: Path,
    title: str,
    data: Mapping[str, Any],
    embedded: Iterable[tuple[str, Mapping[str, Any]]] = (),
    *,
    template: str = "page",
    scripts: Sequence[str] = SCRIPTS,
    styles: Sequence[str] = ("page",),
) -> None:
    """Write a page: the frame that all pages share, around the content of `template`.

    `embedded` are further pieces of data with the ids of their elements; they are written one by one, and parsed when
    they are looked at.
    """
    content = (HERE / f"{template}.html").read_text(encoding="utf-8")
    # Split, not replaced: nothing that the data holds is taken for a place to fill.
    frame = (HERE / "frame.html").read_text(encoding="utf-8")
    before, style, beside, body, script = re.split(r"\{\{(?:style|content|data|script)\}\}", frame)
    with whole(path) as part, part.open("w", encoding="utf-8") as file:
        file.write(before.replace("{{title}}", _escape(title)))
        file.write("".join((HERE / f"{name}.css").read_text(encoding="utf-8") for name in styles))
        file.write(style.replace("{{title}}", _escape(title)))
        file.write(content + beside)
        for name, piece in embedded:
            file.write(_embedded(name, piece))
        file.write(_embedded("data", data))
        file.write(body)
        file.write("\n".join((HERE / f"{name}.js").read_text(encoding="utf-8") for name in scripts))
        file.write(script)


def _embedded(name: str, data: Mapping[str, Any]) -> str:
    """Data as JSON in a script element that is not run; it is parsed when it is looked at."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    return f'<script type="application/json" id="{name}">{text}</script>\n'


def _escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def versions() -> dict[str, str]:
    """Versions of this library, Python and what computes."""
    installed = {"regionflow": __version__, "Python": platform.python_version()}
    for name in LIBRARIES:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed
