"""The real stages on a pretended card, several jobs at once: each image's file is the one that it has by itself."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers.pretend_card import pretend
from helpers.scenes import save_photos
from regionflow.base.errors import UserError
from regionflow.config.load import check_config
from regionflow.formats.features import read_features
from regionflow.formats.parts import read_part_masks, read_part_targets
from regionflow.formats.regions import read_regions
from regionflow.run import devices, stage
from regionflow.run.job import Job
from regionflow.run.stages import runtime, stage_options

SCRIPTS = Path(__file__).parents[3] / "workflow/scripts"
CONFIG = {
    "segmenters": {"sam": {"type": "sam", "model": "sam_tiny", "points_per_side": 4}},
    "extractors": {
        "vit": {"type": "timm", "model": "test_vit", "random_seed": 0},
        "encoder": {"type": "sam_encoder", "model": "sam_tiny"},
    },
    "parts": {
        "teacher": {"segmenter": "sam", "grid": 4},
        "embedder": {"model": "test_vit", "random_seed": 0},
        "student": {"size": 64},
    },
}
IMAGES = ("a", "b", "broken", "c", "wide")


class Told:
    """Who was done, and who failed of what."""

    def __init__(self) -> None:
        self.over: dict[str, str] = {}

    @contextlib.contextmanager
    def __call__(self, job: Job) -> Iterator[None]:
        try:
            yield
        except UserError as error:
            self.over[job.names["image"]] = str(error)

    def done(self, job: Job, left: int = 1) -> None:
        assert job.names["image"] not in self.over and left > 0
        self.over[job.names["image"]] = ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    save_photos(folder, [f"{name}.png" for name in ("a", "b", "c")], height=64, width=96)
    save_photos(folder, ["wide.png"], height=48, width=128)
    (folder / "broken.png").write_bytes(b"no image")
    for device in ("cpu", "cuda"):
        (folder / device).mkdir()
    return folder


def _jobs(folder: Path, case: "Case", device: str) -> list[Job]:
    config, problems = check_config(CONFIG)
    assert not problems, problems
    made = []
    for image in IMAGES:
        paths = {
            "image": folder / f"{image}.png",
            **{key: folder / path.format(image) for key, path in case.inputs.items()},
        }
        text = Job.to_json(
            case.stage,
            inputs=paths,
            outputs={case.output: folder / device / "-".join([case.stage, *case.names.values(), image])},
            options=stage_options(config, case.stage, case.names),
            names={**case.names, "image": image},
            runtime=runtime(config),
        )
        made.append(Job.from_json(text, device=device))
    return made


def _features(path: Path, image: str) -> Any:
    return read_features(path, image).features


def _masks(path: Path, image: str) -> Any:
    return [mask["point_coords"] for mask in read_regions(path, image).annotations]


def _index(path: Path, image: str) -> Any:
    return read_part_masks(path, image).index


def _embeddings(path: Path, image: str) -> Any:
    return read_part_targets(path, image).embeddings


@dataclass(frozen=True)
class Case:
    """A stage, the names in its paths, its output and inputs beside the image, and what is compared."""

    stage: str
    names: dict[str, str]
    output: str
    read: Callable[[Path, str], Any]
    inputs: dict[str, str] = field(default_factory=dict)


PART_MASKS = Case("parts_masks", {}, "masks", _index)
CASES = [
    Case("features", {"extractor": "vit"}, "features", _features),
    Case("features", {"extractor": "encoder"}, "features", _features),
    Case("masks", {"segmenter": "sam"}, "masks", _masks),
    PART_MASKS,
    Case("parts_targets", {}, "targets", _embeddings, {"masks": "cpu/parts_masks-{}"}),
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join([case.stage, *case.names.values()]))
def test_a_stage_on_a_card(folder: Path, case: Case) -> None:
    before = [PART_MASKS] if case.inputs else []
    for each in [*before, case]:
        alone, adapter = _jobs(folder, each, "cpu"), stage._load(SCRIPTS, each.stage)
        for job in alone:
            adapter.run(job)
    devices._no_card.cache_clear()
    told = Told()
    with pretend() as watch:
        together = _jobs(folder, case, "cuda")
        assert adapter.can_work_together(together[0])
        adapter.run_together(together, told)
        assert watch.waits
    devices._no_card.cache_clear()
    assert told.over == dict.fromkeys(IMAGES, "")
    for one, other in zip(alone, together, strict=True):
        image = one.names["image"]
        expected, made = (case.read(job.outputs[case.output], image) for job in (one, other))
        np.testing.assert_allclose(made, expected, rtol=1e-3, atol=1e-4)
        assert np.size(made) or image == "broken"
