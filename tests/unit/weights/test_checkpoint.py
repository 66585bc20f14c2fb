"""Weights files: what loads, and what each wrong file is called when it is refused."""

import argparse
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from helpers.small_sam import save_small_sam
from regionflow.base.files import sha256_of
from regionflow.sam.architecture import PUBLISHED_ENCODERS, identify
from regionflow.sam.build import build_sam
from regionflow.weights.checkpoint import CheckpointError, load_state_dict, what_does_not_fit


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_sam(tmp_path_factory.mktemp("weights") / "small.pth")


@pytest.fixture(scope="module")
def hq_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_small_sam(tmp_path_factory.mktemp("weights") / "small_hq.pth", hq=True)


def fake_state(embed_dim: int, depth: int, head_dim: int, global_blocks: tuple[int, ...]) -> dict[str, torch.Tensor]:
    """Those tensors of a published SAM that tell its architecture, without memory behind them."""
    with torch.device("meta"):
        state = {
            "image_encoder.patch_embed.proj.weight": torch.empty(embed_dim, 3, 16, 16),
            "image_encoder.pos_embed": torch.empty(1, 64, 64, embed_dim),
            "image_encoder.neck.0.weight": torch.empty(256, embed_dim, 1, 1),
            "mask_decoder.mask_tokens.weight": torch.empty(4, 256),
            "mask_decoder.iou_prediction_head.layers.0.weight": torch.empty(256, 256),
            "mask_decoder.iou_prediction_head.layers.2.weight": torch.empty(4, 256),
            "prompt_encoder.mask_downscaling.3.weight": torch.empty(16, 4, 2, 2),
        }
        for i in range(depth):
            side = 64 if i in global_blocks else 14
            state[f"image_encoder.blocks.{i}.attn.rel_pos_h"] = torch.empty(2 * side - 1, head_dim)
            state[f"image_encoder.blocks.{i}.mlp.lin1.weight"] = torch.empty(4 * embed_dim, embed_dim)
        for i in range(2):
            layer = f"mask_decoder.transformer.layers.{i}."
            state[layer + "cross_attn_token_to_image.q_proj.weight"] = torch.empty(128, 256)
            state[layer + "mlp.lin1.weight"] = torch.empty(2048, 256)
    return state


@pytest.mark.parametrize("name", list(PUBLISHED_ENCODERS))
def test_architecture_is_read_from_shapes(name: str) -> None:
    e = PUBLISHED_ENCODERS[name]
    state = fake_state(e.embed_dim, e.depth, e.embed_dim // e.heads, e.global_blocks)
    assert identify(state).model == name
    assert identify(state | {"mask_decoder.hf_token.weight": torch.empty(1, 256)}).model == f"hq_{name}"


def test_auto_loads_a_small_sam_in_eval_mode(weights: Path) -> None:
    sam = build_sam("auto", weights)
    assert not any(module.training for module in sam.modules())
    assert not any(parameter.requires_grad for parameter in sam.parameters())
    state = torch.load(weights, weights_only=True)
    assert all(torch.equal(tensor, state[key]) for key, tensor in sam.state_dict().items())


def test_safetensors_and_half_precision_load(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    save_file({key: tensor.half() for key, tensor in state.items()}, tmp_path / "small.safetensors")
    sam = build_sam("auto", tmp_path / "small.safetensors")
    assert {parameter.dtype for parameter in sam.parameters()} == {torch.float32}


def test_attention_biases_of_tiny_vit_are_the_file_s() -> None:
    from regionflow.sam import hq as tiny_vit

    attention = tiny_vit.MobileEncoder(
        img_size=64, embed_dims=[64, 64, 64, 320], depths=[1] * 4, num_heads=[2] * 4, window_sizes=[2] * 4
    ).eval()
    block = attention.layers[1].blocks[0].attn
    block.load_state_dict({k: torch.ones_like(v) for k, v in block.state_dict().items()})
    assert not block.ab.any()  # what segment-anything-hq's own builder would compute with
    assert attention.eval().layers[1].blocks[0].attn.ab.all()


def test_hq_import_leaves_timm_alone() -> None:
    code = (
        "import timm, warnings; warnings.simplefilter('error');"
        "import regionflow.sam.hq;"
        "print(timm.models.model_entrypoint('tiny_vit_5m_224').__module__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == "timm.models.tiny_vit"
    assert done.stderr == ""


def refusal(model: str, path: Path) -> str:
    with pytest.raises(CheckpointError) as error:
        build_sam(model, path)
    assert str(path) in str(error.value)
    return str(error.value)


def test_plain_weights_in_hq_builder_and_the_other_way(weights: Path, hq_weights: Path) -> None:
    assert "holds SAM weights of an unpublished size" in refusal("hq_vit_b", weights)
    assert "holds HQ-SAM weights" in refusal("vit_b", hq_weights)


def test_vit_b_in_vit_h(tmp_path: Path) -> None:
    e = PUBLISHED_ENCODERS["vit_b"]
    state = fake_state(e.embed_dim, e.depth, 64, e.global_blocks)
    torch.save({key: torch.zeros(1).expand(tensor.shape) for key, tensor in state.items()}, tmp_path / "b.pth")
    assert "holds SAM vit_b weights, not vit_h" in refusal("vit_h", tmp_path / "b.pth")


def test_missing_and_surplus_tensors(weights: Path, tmp_path: Path) -> None:
    state = torch.load(weights, weights_only=True)
    torch.save({k: v for k, v in state.items() if k != "mask_decoder.iou_token.weight"}, tmp_path / "less.pth")
    assert "mask_decoder.iou_token.weight" in refusal("auto", tmp_path / "less.pth")
    torch.save(state | {"mask_decoder.extra": torch.ones(1)}, tmp_path / "more.pth")
    assert "mask_decoder.extra" in refusal("auto", tmp_path / "more.pth")


def test_other_networks(weights: Path, tmp_path: Path) -> None:
    torch.save({"conv1.weight": torch.ones(1), "fc.bias": torch.ones(1)}, tmp_path / "resnet.pth")
    assert "not SAM weights (conv1.weight" in refusal("auto", tmp_path / "resnet.pth")
    torch.save({"network": torch.load(weights, weights_only=True), "epoch": 3}, tmp_path / "run.pth")
    assert "it holds network, epoch" in refusal("auto", tmp_path / "run.pth")


@pytest.mark.parametrize("wrapper", ["model", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_training_state_is_unwrapped_and_says_so(
    weights: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], wrapper: str, prefix: str
) -> None:
    state = torch.load(weights, weights_only=True)
    path = tmp_path / "run.pth"
    torch.save({wrapper: {prefix + key: value for key, value in state.items()}, "epoch": 3}, path)
    sam = build_sam("auto", path)
    assert all(torch.equal(tensor, state[key]) for key, tensor in sam.state_dict().items())
    without = ", keys without 'module.'" if prefix else ""
    assert capsys.readouterr().out == f"{path}: read the tensors under {wrapper!r}{without}\n"


def test_of_dinos_training_state_the_teachers_backbone_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the arguments of the run, an argparse.Namespace, as in the published full checkpoints."""
    path = tmp_path / "dino_full.pth"
    student, teacher = torch.zeros(2), torch.ones(2)
    torch.save(
        {
            "student": {"module.backbone.norm.weight": student},
            "teacher": {"backbone.norm.weight": teacher, "head.last.weight": torch.ones(3)},
            "optimizer": {"state": {}},
            "args": argparse.Namespace(arch="vit_small", lr=0.1),
            "epoch": 5,
        },
        path,
    )
    state = load_state_dict(path)
    assert list(state) == ["norm.weight"]
    assert torch.equal(state["norm.weight"], teacher)
    told = "read the tensors under 'teacher', keys without 'backbone.', 1 tensors of its heads left out"
    assert told in capsys.readouterr().out


def test_a_plain_state_dict_is_not_touched(weights: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert load_state_dict(weights).keys() == torch.load(weights, weights_only=True).keys()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"<!DOCTYPE html><html><body>Sign in</body></html>", "an HTML page"),
        (b"\n <html>404</html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00", "a git-lfs pointer"),
        (b"", "an empty file"),
        (b'{"error": "not found"}', "a JSON text"),
        (b"GIF89a" + b"\0" * 20, "starts with the bytes 47 49 46"),
    ],
)
def test_files_that_are_no_checkpoints(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "sam_vit_h_4b8939.pth"
    path.write_bytes(content)
    assert said in refusal("vit_h", path)


def test_truncated_files(weights: Path, tmp_path: Path) -> None:
    whole = weights.read_bytes()
    (tmp_path / "cut.pth").write_bytes(whole[: len(whole) // 2])
    assert "is truncated" in refusal("auto", tmp_path / "cut.pth")
    save_file(torch.load(weights, weights_only=True), tmp_path / "whole.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "whole.safetensors").read_bytes()[:-100])
    assert "damaged safetensors" in refusal("auto", tmp_path / "cut.safetensors")


class Touch:
    """Unpickling this makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("form", ["pickle", "torch"])
def test_malicious_pickle_runs_nothing(tmp_path: Path, form: str) -> None:
    path, trap = tmp_path / "evil.pth", tmp_path / "executed"
    if form == "pickle":
        path.write_bytes(pickle.dumps({"image_encoder.x": Touch(trap)}, protocol=2))
    else:
        torch.save({"image_encoder.x": Touch(trap)}, path)
    message = refusal("auto", path)
    assert "mkdir" in message
    assert "Nothing in it was run" in message
    assert not trap.exists()


def test_missing_file_and_unknown_model(weights: Path, tmp_path: Path) -> None:
    assert "does not exist" in refusal("vit_b", tmp_path / "none.pth")
    with pytest.raises(ValueError, match="unknown SAM model 'vit_x'"):
        build_sam("vit_x", weights)


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256_of(tmp_path / "a").startswith("ba7816bf8f01cfea")
    with pytest.raises(CheckpointError):
        load_state_dict(tmp_path)


def test_tensors_that_do_not_fit_are_counted_and_the_first_of_them_named() -> None:
    network = nn.Sequential(*(nn.Linear(2, 2) for _ in range(3)))
    state = {**network.state_dict(), "0.weight": torch.zeros(3, 2), "more": torch.zeros(1)}
    for key in ("1.weight", "1.bias", "2.weight", "2.bias"):
        del state[key]
    with pytest.raises(RuntimeError) as raised:
        network.load_state_dict(state)
    assert what_does_not_fit(raised.value) == (
        "4 tensors missing (1.weight, 1.bias, 2.weight, ...); 1 tensors unknown (more); 1 tensors of another shape "
        "(0.weight: copying a param with shape torch.Size([3, 2]) from checkpoint, the shape in current model is "
        "torch.Size([2, 2]))"
    )
    assert what_does_not_fit(KeyError("a.weight")) == "'a.weight'"
    assert what_does_not_fit(ValueError()) == "ValueError"
