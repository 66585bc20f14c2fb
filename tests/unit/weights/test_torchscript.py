"""TorchScript archives: torch's own state dict of them, without their code."""

import os
import pickle
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from regionflow.weights.checkpoint import CheckpointError, load_state_dict


class Block(nn.Module):
    """Half precision, a nested list, a strided tensor, a buffer, and attributes that are no tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.narrow = nn.Linear(3, 2).half()
        self.layers = nn.ModuleList([nn.Linear(2, 2), nn.Sequential(nn.LayerNorm(2))])
        self.scale = nn.Parameter(torch.arange(6.0).reshape(2, 3).T)
        self.register_buffer("size", torch.tensor(224))
        self.register_buffer("none", torch.empty(0))
        self.sizes = [1, 2]
        self.rates = [0.5]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


@pytest.fixture(scope="module", params=["script", "trace"])
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("jit") / "model.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = Block()
        made = torch.jit.script(model) if request.param == "script" else torch.jit.trace(model, torch.zeros(1, 2))
        torch.jit.save(made, path)
    return path


def test_tensors_are_those_that_torch_reads(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = load_state_dict(archive)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = torch.jit.load(archive).state_dict()
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert ours[name].dtype == tensor.dtype
        assert torch.equal(ours[name], tensor)
    assert "its code is not run" in capsys.readouterr().out


def edited(archive: Path, target: Path, member: str, content: bytes | None) -> Path:
    """The archive with one member replaced, or left out."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            if not name.endswith(member):
                new.writestr(name, old.read(name))
            elif content is not None:
                new.writestr(name, content)
    return target


class Touch:
    """Unpickling this makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def test_code_in_the_pickle_is_refused_and_not_run(archive: Path, tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    evil = edited(archive, tmp_path / "evil.pt", "/data.pkl", pickle.dumps(Touch(trap), protocol=2))
    with pytest.raises(CheckpointError, match=r"evil\.pt is refused: its pickle asks for posix\.mkdir.*Nothing"):
        load_state_dict(evil)
    assert not trap.exists()


def test_code_in_the_archive_is_not_compiled(archive: Path, tmp_path: Path) -> None:
    """Such a file cannot be loaded by torch.jit at all; its tensors can be read."""
    broken = edited(archive, tmp_path / "code.pt", ".py", b"this is no code")
    assert load_state_dict(broken)["narrow.weight"].shape == (2, 3)


@pytest.mark.parametrize(
    ("member", "content"), [("/data/0", None), ("/data/0", b"\0"), ("/data.pkl", None), ("/data.pkl", b"\x80\x02")]
)
def test_a_damaged_archive_is_named(archive: Path, tmp_path: Path, member: str, content: bytes | None) -> None:
    damaged = edited(archive, tmp_path / "damaged.pt", member, content)
    with pytest.raises(CheckpointError, match=r"damaged\.pt is (truncated or damaged|not a checkpoint)"):
        load_state_dict(damaged)


def test_an_archive_without_a_module_is_refused(archive: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="it holds no module"):
        load_state_dict(edited(archive, tmp_path / "list.pt", "/data.pkl", pickle.dumps([1, 2], protocol=2)))
