"""Building extractors: weights from files, what is refused and how, presets, number types."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from pydantic import TypeAdapter, ValidationError
from safetensors.torch import save_file

from regionflow.features.errors import ExtractorError
from regionflow.features.kinds import ExtractorOptions, extractor
from regionflow.features.options import TimmOptions
from regionflow.features.presets import PRESETS
from regionflow.run.adapters import extractor_of
from regionflow.run.job import Job
from regionflow.weights.checkpoint import CheckpointError
from regionflow.weights.download import DownloadError

TINY = "vit_tiny_patch16_224"
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def tiny_state() -> dict[str, torch.Tensor]:
    torch.manual_seed(3)
    return timm.create_model(TINY).state_dict()


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_local_weights(tmp_path: Path, tiny_state: Any, suffix: str) -> None:
    path = tmp_path / f"tiny.{suffix}"
    (save_file if suffix == "safetensors" else torch.save)(tiny_state, path)
    from_file = extractor(TimmOptions(model=TINY, checkpoint=str(path))).extract(IMAGE)
    seeded = extractor(TimmOptions(model=TINY, random_seed=3)).extract(IMAGE)
    other = extractor(TimmOptions(model=TINY, random_seed=4)).extract(IMAGE)
    assert np.array_equal(from_file.features, seeded.features)
    assert from_file.provenance == seeded.provenance != other.provenance
    assert not np.allclose(from_file.features, other.features)


def test_weights_of_another_model_are_refused_by_name(tmp_path: Path, tiny_state: Any) -> None:
    path = tmp_path / "tiny.pth"
    torch.save(tiny_state, path)
    with pytest.raises(ExtractorError, match=r"tiny\.pth does not hold the weights of vit_small_patch16_224: .*"):
        extractor(TimmOptions(model="vit_small_patch16_224", checkpoint=str(path)))
    torch.save({key: value for key, value in tiny_state.items() if key != "norm.weight"}, path)
    with pytest.raises(ExtractorError, match=r"tiny\.pth does not hold .*norm\.weight"):
        extractor(TimmOptions(model=TINY, checkpoint=str(path)))
    torch.save({**tiny_state, "extra": torch.zeros(1)}, path)
    with pytest.raises(ExtractorError, match=r"tiny\.pth does not hold .*extra"):
        extractor(TimmOptions(model=TINY, checkpoint=str(path)))


def test_missing_and_broken_weight_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.pth does not exist"):
        extractor(TimmOptions(model=TINY, checkpoint=str(tmp_path / "none.pth")))
    page = tmp_path / "page.pth"
    page.write_text("<html>moved</html>")
    with pytest.raises(CheckpointError, match=r"page\.pth is not a checkpoint: it is an HTML page"):
        extractor(TimmOptions(model=TINY, checkpoint=str(page)))


def test_unknown_model_names_the_nearest() -> None:
    with pytest.raises(ExtractorError, match=r"no model 'vit_smal_patch14_dinov2'.*vit_small_patch14_dinov2"):
        extractor(TimmOptions(model="vit_smal_patch14_dinov2"))
    with pytest.raises(ExtractorError, match=r"no model .*vit_small_patch14_dinov2\.lvd142m"):
        extractor(TimmOptions(model="vit_small_patch14_dinov2.lvd143m"))


def test_weights_that_cannot_be_fetched_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    create = timm.create_model

    def offline(name: str, pretrained: bool = False, **kwargs: Any) -> Any:
        if pretrained:
            raise ConnectionError("no route to the hub")
        return create(name, **kwargs)

    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr("regionflow.features.timm_load.fetch", lambda file: None)
    with pytest.raises(DownloadError, match=f"weights of {TINY} .* no route to the hub.*checkpoint"):
        extractor(TimmOptions(model=TINY))


@pytest.mark.parametrize("layer", [12, -13])
def test_layer_out_of_range(layer: int) -> None:
    with pytest.raises(ExtractorError, match=rf"{TINY} has layers 0 to 11 \(or -1 to -12\), not {layer}"):
        extractor(TimmOptions(model=TINY, random_seed=0, layers=[layer]))


def test_layers_of_different_grids_are_refused() -> None:
    built = extractor(TimmOptions(model="convnext_atto", random_seed=0, layers=[1, 2], norm=False))
    with pytest.raises(ExtractorError, match="different grids"):
        built.extract(IMAGE)


def test_input_size_that_the_model_refuses() -> None:
    built = extractor(TimmOptions(model="vit_tiny_patch16_224", random_seed=0, multiple=10))
    with pytest.raises(ExtractorError, match=rf"{TINY} fails on an input of 40 x 70"):
        built.extract(IMAGE)


def test_image_too_large_for_the_card(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    built: Any = extractor(TimmOptions(model=TINY, random_seed=0))
    monkeypatch.setattr(built._model, "forward_intermediates", no_memory)
    with pytest.raises(ExtractorError, match=rf"{TINY} fails on an input of 48 x 80 .*out of memory.*resize_long"):
        built.extract(IMAGE)


def test_value_path_needs_a_clip_model() -> None:
    with pytest.raises(ExtractorError, match="value_path needs a CLIP"):
        extractor(TimmOptions(model=TINY, random_seed=0, value_path=True))


@pytest.mark.parametrize(
    "fields",
    [
        {"checkpoint": "a.pth", "random_seed": 0},
        {"size": 518},
        {"value_path": True, "layers": [3]},
        {"value_path": True, "norm": False},
        {"layers": []},
        {"dtype": "int8"},
        {"geometry": "crop"},
        {"patch": 14},
    ],
)
def test_options_that_contradict_each_other(fields: dict[str, Any]) -> None:
    adapter: TypeAdapter[Any] = TypeAdapter(ExtractorOptions)
    assert adapter.validate_python({"type": "timm", "model": TINY}) == TimmOptions(model=TINY)
    with pytest.raises(ValidationError):
        adapter.validate_python({"type": "timm", "model": TINY, **fields})


@pytest.mark.parametrize(("dtype", "tolerance"), [("bf16", 0.1), ("fp16", 0.02)])
def test_half_precision_is_close(dtype: Any, tolerance: float) -> None:
    full = extractor(TimmOptions(model=TINY, random_seed=0)).extract(IMAGE).features
    half = extractor(TimmOptions(model=TINY, random_seed=0, dtype=dtype)).extract(IMAGE).features
    assert half.dtype == np.float32
    assert not np.array_equal(full, half)
    assert np.abs(full - half).max() < tolerance


@pytest.mark.parametrize("name", [name for name, options in PRESETS.items() if isinstance(options, TimmOptions)])
def test_preset_is_a_model_that_timm_has_weights_for(name: str) -> None:
    options = PRESETS[name]
    assert isinstance(options, TimmOptions)
    assert options.model in timm.list_models(options.model, pretrained=True)
    with torch.device("meta"):
        model: Any = timm.create_model(options.model, dynamic_img_size=True)
    patch = re.search(r"(?:vit[sblg]|so400m)(\d+)", name)
    assert patch is not None
    assert model.feature_info[-1]["reduction"] == int(patch[1])
    if "clip_" in name:
        # OpenAI's weights want its own activation; timm's plain names have GELU.
        assert type(model.blocks[0].mlp.act).__name__ == "QuickGELU"


def test_job_keeps_its_extractor() -> None:
    options = TimmOptions(model=TINY, random_seed=0).canonical()
    job = Job("features", {}, {}, {"extractor": options, "weights_sha256": None})
    assert extractor_of(job) is extractor_of(job)
    assert job.models.loads == 1
    daisy = Job("features", {}, {}, {"extractor": {"type": "daisy_lab"}})
    assert extractor_of(daisy).extract(IMAGE).features.shape == (107, 5, 9)
    assert daisy.models.loads == 0
