"""Put the data into the page: one HTML file that needs nothing else."""

import importlib.metadata
import json
import platform
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from regionflow import __version__
from regionflow.base.files import whole

HERE = Path(__file__).parent
LIBRARIES = (
    "snakemake", "torch", "timm", "segment-anything", "scikit-learn", "scikit-image", "numpy", "opencv-python-headless",
    "pillow", "pycocotools", "h5py",
)  # fmt: skip
# The last line that a job writes into its log.
TIMING = re.compile(r"^(\w+): ([\d.]+) s in ", re.MULTILINE)


def write_page(
    path: Path, title: str, data: Mapping[str, Any], images: Iterable[tuple[int, Mapping[str, Any]]]
) -> None:
    """Write the page. `images` are those shown in full, with their numbers; they are written one by one."""
    template = (HERE / "page.html").read_text(encoding="utf-8")
    # Split, not replaced: nothing that the data holds is taken for a place to fill.
    before, style, body, script = re.split(r"\{\{(?:style|data|script)\}\}", template)
    with whole(path) as part, part.open("w", encoding="utf-8") as file:
        file.write(before.replace("{{title}}", _escape(title)))
        file.write((HERE / "page.css").read_text(encoding="utf-8"))
        file.write(style.replace("{{title}}", _escape(title)))
        for number, image in images:
            file.write(_embedded(f"image-{number}", image))
        file.write(_embedded("data", data))
        file.write(body)
        file.write((HERE / "page.js").read_text(encoding="utf-8"))
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


def timings(logs: Path) -> list[dict[str, Any]]:
    """Jobs, and seconds in all, on average and at most, of every stage, from the logs of its jobs."""
    seconds: dict[str, list[float]] = defaultdict(list)
    for log in logs.rglob("*.log"):
        times = TIMING.findall(log.read_text(encoding="utf-8", errors="replace"))
        if times:
            seconds[times[-1][0]].append(float(times[-1][1]))
    return [
        {"stage": stage, "jobs": len(s), "total": round(sum(s), 3), "mean": round(sum(s) / len(s), 4), "max": max(s)}
        for stage, s in sorted(seconds.items(), key=lambda item: -sum(item[1]))
    ]
