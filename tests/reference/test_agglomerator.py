"""The Agglomerator against the original, by a golden file.

tests/reference/data/agglomerator.npz was made once from the original's own modules (distill-part-whole at d2d8fb3, MIT)
on random weights and noise: 32 px, 4 x 4 columns, 3 levels of 16 numbers; its state dict, levels, scores and losses in
eval mode, and its weights after two steps of its optimiser and schedule in train mode.
"""

from pathlib import Path

import numpy as np
import pytest
import torch
from timm.optim import Lion
from torch import Tensor

from regionflow.parts.agglomerator import Agglomerator, ConsensusAttention, LevelNetworks, Probe, levels_loss
from regionflow.parts.options import StudentOptions
from regionflow.parts.published import convert, load_original

GOLDEN = Path(__file__).parent / "data" / "agglomerator.npz"
OPTIONS = StudentOptions(size=32, levels=3, dim=16, patch_size=2)
WEIGHTS = torch.tensor([0.1, 0.2, 0.7])
ALL_VALID = torch.ones(4, 16, 3, dtype=torch.bool)
CLOSE = {"rtol": 0, "atol": 1e-6}


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    with np.load(GOLDEN) as file:
        return {key: torch.from_numpy(np.array(file[key])) for key in file}


@pytest.fixture
def networks(golden: dict[str, Tensor], tmp_path: Path) -> tuple[Agglomerator, Probe]:
    """Ours, with the original's weights read from a checkpoint as Lightning writes it."""
    state = under(golden, "state/")
    torch.save({"epoch": 3, "global_step": 12, "state_dict": state}, tmp_path / "last.ckpt")
    model, probe = Agglomerator(OPTIONS), Probe(16, 16, 10)
    load_original(model, probe, tmp_path / "last.ckpt")
    return model, probe


def under(golden: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in golden.items() if key.startswith(prefix)}


def test_levels_scores_and_losses_are_the_originals(
    golden: dict[str, Tensor], networks: tuple[Agglomerator, Probe]
) -> None:
    model, probe = (network.eval() for network in networks)
    with torch.inference_mode():
        columns = model(golden["images"])
        scores = probe(columns.levels[:, :, -1])
    torch.testing.assert_close(columns.levels, golden["eval/levels"], **CLOSE)
    torch.testing.assert_close(scores, golden["eval/logits"], **CLOSE)
    loss = levels_loss(columns.outputs, golden["targets"], ALL_VALID, WEIGHTS)
    torch.testing.assert_close(loss, golden["eval/loss"], **CLOSE)
    entropy = torch.nn.functional.cross_entropy(scores, golden["labels"])
    torch.testing.assert_close(entropy, golden["eval/cross_entropy"], **CLOSE)


def test_two_steps_of_the_published_optimiser_are_the_originals(
    golden: dict[str, Tensor], networks: tuple[Agglomerator, Probe]
) -> None:
    model = networks[0].train()
    optimiser = Lion(model.parameters(), lr=3e-4, betas=(0.95, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=3e-4, epochs=2000, steps_per_epoch=45000 // 512)
    for expected in golden["lion/losses"]:
        loss = levels_loss(model(golden["images"]).outputs, golden["targets"], ALL_VALID, WEIGHTS)
        assert loss.item() == pytest.approx(expected.item(), abs=1e-6)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    after = under(golden, "lion/")
    after.pop("losses")
    state = model.state_dict()
    # Without `start`: its gradient is rounding alone after six divisions by 16, and Lion steps by its sign.
    for key, tensor in convert({**after, "init_levels": torch.zeros(3, 16)}, 3).items():
        if key != "start":
            torch.testing.assert_close(state[key], tensor, **CLOSE, msg=lambda text, key=key: f"{key}: {text}")


def test_local_attention_is_the_originals(golden: dict[str, Tensor]) -> None:
    attention = ConsensusAttention(4, attend_self=True, radius=1.5)
    levels = golden["eval/levels"].permute(0, 2, 3, 1)
    torch.testing.assert_close(attention(levels).permute(0, 3, 1, 2), golden["eval/local"], **CLOSE)


def test_encoder_of_the_levels_is_the_originals(golden: dict[str, Tensor]) -> None:
    named = {f"levels_encoder.{key}": value for key, value in under(golden, "encoder_state/").items()}
    scalars = {name: torch.zeros(()) for name in ("wl", "wBU", "wTD", "wA")}
    state = {key: value for key, value in convert({**named, **scalars}, 3).items() if key != "weights"}
    encoder = LevelNetworks(16, 3, 4, torch.nn.GELU, hidden=3, out=5)
    encoder.load_state_dict({key.removeprefix("encoder."): value for key, value in state.items()})
    out = encoder(golden["encoder/x"].permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    torch.testing.assert_close(out, golden["encoder/y"], **CLOSE)
