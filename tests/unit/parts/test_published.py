"""Published configurations and checkpoints: those that work, and why the others do not."""

import argparse
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pydantic import ValidationError
from snakemake.utils import update_config

from helpers.workflow import ROOT
from regionflow.base.errors import UserError
from regionflow.config.types import Config
from regionflow.parts.agglomerator import Agglomerator
from regionflow.parts.options import StudentOptions
from regionflow.parts.published import CONFIGURATIONS, configuration, load_original
from regionflow.weights.checkpoint import CheckpointError

EMBEDDER_WIDTH = 256
SMALL = StudentOptions(size=16, levels=2, dim=8, patch_size=2)


def test_the_distilled_configuration_has_the_published_size() -> None:
    model = Agglomerator(configuration("imagenette_distilled"))
    head = 2 * 256 + 2 * 196 * 256 + 10 * 196 * 256 + 10
    assert sum(p.numel() for p in model.parameters()) + head == pytest.approx(3.23e6, rel=2e-3)
    assert model.options.grid == 14


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("mnist", "patch_size 4 does not divide the side of the tokenizer's map, 7 cells"),
        ("fashion_mnist", "patch_size 4 does not divide"),
        ("small_norb", "patch_size 24 does not divide"),
        ("imagenet", "dim 32 must be a multiple of patch_size [*][*] 2 = 1024"),
    ],
)
def test_a_configuration_that_cannot_be_built_is_refused_with_the_reason(name: str, reason: str) -> None:
    with pytest.raises(UserError, match=f"{name} cannot work as published: {reason}"):
        configuration(name)


def test_every_other_configuration_gives_levels_for_every_column() -> None:
    for name in ("cifar10", "cifar100"):
        options = configuration(name)
        levels = Agglomerator(options).eval()(torch.zeros(1, 3, options.size, options.size)).levels
        assert levels.shape == (1, options.grid**2, options.levels, options.dim)
    assert configuration("imagenette").grid == 2
    with pytest.raises(UserError, match="no published configuration 'nope'; there are imagenette_distilled"):
        configuration("nope")
    assert set(CONFIGURATIONS) >= {"imagenette", "cifar10", "mnist"}


PRESETS = {
    "imagenette_distilled": ["part_whole", "part_whole_as_published"],
    "imagenette": ["part_whole_imagenette_2022"],
    "cifar10": ["part_whole_cifar10"],
    "cifar100": ["part_whole_cifar100"],
}
"""The configurations that can work as published, and the files in config/presets that are them."""


def configured(names: list[str]) -> dict[str, Any]:
    """The values of presets, one on top of the other as Snakemake joins them."""
    values: dict[str, Any] = {}
    for name in names:
        update_config(values, yaml.safe_load((ROOT / f"config/presets/{name}.yaml").read_text()))
    return values


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_every_configuration_is_a_preset_or_is_refused_with_the_reason(name: str) -> None:
    if name in PRESETS:
        parts = Config.model_validate(configured(PRESETS[name])).parts
        published = configuration(name)
        own = {"start_weight": 0.25, "encoder_dim": parts.student.encoder_dim}
        assert parts.student == published.model_copy(update=own)
        assert (parts.student.encoder_dim or parts.student.dim) == EMBEDDER_WIDTH
        return
    student = CONFIGURATIONS[name]
    with pytest.raises(ValidationError, match="patch_size"):
        Config.model_validate({"parts": {"student": student, "teacher": {"keep_levels": [1, 2]}}})
    with pytest.raises(UserError, match=f"{name} cannot work as published"):
        configuration(name)


def test_the_distillation_as_published_has_all_of_its_ways() -> None:
    parts = Config.model_validate(configured(PRESETS["imagenette_distilled"])).parts
    assert (parts.teacher.prompt_label, parts.teacher.duplicate_iou) == ("as_published", 1.0)
    assert (parts.embedder.view, parts.training.targets) == ("as_published", "as_published")
    training = parts.training
    assert (training.optimiser, training.rate, training.weight_decay) == ("lion", 3e-4, 0.05)
    assert (training.batch_size, training.epochs, training.level_weights) == (512, 4000, [0.1, 0.2, 0.7])


def test_a_checkpoint_with_more_than_tensors_is_refused_and_not_run(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    path = tmp_path / "evil.ckpt"
    torch.save({"state_dict": {}, "hyper_parameters": Evil()}, path)
    with pytest.raises(CheckpointError, match=f"{path} is refused"):
        load_original(Agglomerator(SMALL), None, path)
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "resnet.ckpt"
    torch.save({"state_dict": {"conv1.weight": torch.zeros(3)}}, path)
    with pytest.raises(CheckpointError, match=r"resnet.ckpt is not .* conv1.weight has no place in it"):
        load_original(Agglomerator(SMALL), None, path)
    with pytest.raises(CheckpointError, match="does not exist"):
        load_original(Agglomerator(SMALL), None, tmp_path / "gone.ckpt")
    (tmp_path / "page.ckpt").write_text("<html>")
    with pytest.raises(CheckpointError, match=r"page.ckpt is not a checkpoint: it is an HTML page"):
        load_original(Agglomerator(SMALL), None, tmp_path / "page.ckpt")


def original(model: Agglomerator) -> dict[str, torch.Tensor]:
    """The tensors of a student of two levels under the original's names."""
    state: dict[str, torch.Tensor] = {}
    for key, tensor in model.state_dict().items():
        room, _, rest = key.partition(".")
        if key == "start":
            state["init_levels"] = tensor
        elif key == "weights":
            state |= dict(zip(("wl", "wBU", "wTD", "wA"), tensor, strict=True))
        elif room == "tokenizer":
            state[f"image_to_tokens.0.block.{rest}"] = tensor
        elif room in ("bottom_up", "top_down"):
            kind, layer, name = rest.split(".")
            state[f"{room}.net.{1 + 3 * int(layer) + (kind == 'linears')}.{name}"] = tensor
    return state


def test_a_lightning_checkpoint_is_read_with_the_arguments_beside_its_tensors(tmp_path: Path) -> None:
    torch.manual_seed(3)
    made, loaded = Agglomerator(SMALL).eval(), Agglomerator(SMALL).eval()
    beside = {"epoch": 3, "hyper_parameters": argparse.Namespace(lr=1e-3), "optimizer_states": [{"state": {}}]}
    torch.save({"state_dict": original(made), **beside}, tmp_path / "original.ckpt")
    load_original(loaded, None, tmp_path / "original.ckpt")
    images = torch.rand(2, 3, 16, 16)
    with torch.inference_mode():
        assert torch.equal(loaded(images).levels, made(images).levels)


@pytest.mark.parametrize("of", [{"dim": 16}, {"levels": 5}, {"size": 32}])
def test_a_checkpoint_of_another_configuration_is_named(tmp_path: Path, of: dict[str, int]) -> None:
    path = tmp_path / "other.ckpt"
    torch.save({"state_dict": original(Agglomerator(SMALL.model_copy(update=of)))}, path)
    with pytest.raises(CheckpointError, match=f"{path} does not fit the student as configured: .*Set parts.student"):
        load_original(Agglomerator(SMALL), None, path)


def test_a_checkpoint_whose_training_failed_is_named(tmp_path: Path) -> None:
    state = original(Agglomerator(SMALL))
    state["init_levels"] = state["init_levels"] * float("nan")
    torch.save(state, tmp_path / "nan.ckpt")
    with pytest.raises(CheckpointError, match=r"nan.ckpt holds weights that are not numbers \(NaN\)"):
        load_original(Agglomerator(SMALL), None, tmp_path / "nan.ckpt")
