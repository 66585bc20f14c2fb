"""Weights that libraries fetch, from a hub on the loopback interface."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from helpers.hub import Hub, hub
from regionflow.weights import progress
from regionflow.weights.download import DownloadError
from regionflow.weights.fetched import WEIGHTS, Fetched, either, fetch

CONTENT = bytes(range(256)) * 20000
REPO = "owner/model"


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with one model that has no safetensors, an empty cache, and a run's folder."""
    with hub({f"{REPO}/pytorch_model.bin": CONTENT}) as served:
        template = served.address + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", served.address)
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setenv("REGIONFLOW_RUN_DIR", str(tmp_path))
        yield served


def test_a_file_is_fetched_once_into_the_cache_of_the_library_and_told(
    served: Hub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    notes: list[str] = []
    monkeypatch.setattr(progress, "SECONDS", -1.0)
    monkeypatch.setattr(progress, "write_json", lambda path, value: notes.append(value))
    file = Fetched(repo=REPO, names=WEIGHTS)
    fetch(file)
    (cached,) = (tmp_path / "hub/models--owner--model/snapshots").glob("*/pytorch_model.bin")
    assert cached.read_bytes() == CONTENT
    assert file.is_here()
    assert notes[-1] == {"name": f"{REPO}/pytorch_model.bin", "there": len(CONTENT), "whole": len(CONTENT)}
    assert "5 MB of 5 MB (100%)" in capsys.readouterr().out
    asked = len(served.asked)
    fetch(file)
    assert len(served.asked) == asked


def test_a_hub_without_the_file_and_one_that_refuses_are_told_with_the_address(served: Hub) -> None:
    with pytest.raises(DownloadError, match=f"{REPO} on the hub has none of other.safetensors"):
        fetch(Fetched(repo=REPO, names=("other.safetensors",)))
    with pytest.raises(DownloadError, match=f"{REPO}/resolve/main/model.safetensors cannot be had"):
        served.refuse = True
        fetch(Fetched(repo=REPO, names=WEIGHTS))


def test_a_file_of_no_hub_is_left_to_the_library() -> None:
    fetch(Fetched(url="https://example.org/file.pth"))


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("open_clip_pytorch_model.bin", ("open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin")),
        ("a.pth", ("a.safetensors", "a.pth")),
        ("model.safetensors", ("model.safetensors",)),
    ],
)
def test_names_of_weight_files(name: str, names: tuple[str, ...]) -> None:
    assert either(name) == names
