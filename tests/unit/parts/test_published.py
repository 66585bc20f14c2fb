"""Published configurations and checkpoints: those that work, and why the others do not."""

from pathlib import Path

import pytest
import torch

from regionflow.base.errors import UserError
from regionflow.parts.agglomerator import Agglomerator
from regionflow.parts.options import StudentOptions
from regionflow.parts.published import CONFIGURATIONS, configuration, load_original
from regionflow.weights.checkpoint import CheckpointError

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
