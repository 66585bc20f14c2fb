"""Loaded models: each once, and weights that cannot be fetched are not fetched again for every image."""

from pathlib import Path

import pytest

from regionflow.base.errors import UserError
from regionflow.run.models import FETCHES, ModelCache
from regionflow.weights.download import DownloadError


def test_a_model_is_loaded_once_and_the_least_used_dropped() -> None:
    models, loaded = ModelCache(limit=2), []
    for name in ("a", "b", "a", "c", "a", "b"):
        assert models.get(name, lambda name=name: loaded.append(name) or name.upper()) == name.upper()
    assert loaded == ["a", "b", "c", "b"] and models.loads == 4


def test_weights_that_cannot_be_fetched_are_tried_twice_in_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGIONFLOW_RUN_DIR", str(tmp_path))
    tries = []

    def load() -> str:
        tries.append(1)
        raise DownloadError("hub.example broke off\nafter 7 bytes")

    for _ in range(FETCHES):  # each in a process of its own, as after every failed job
        with pytest.raises(DownloadError):
            ModelCache().get("model", load)
    with pytest.raises(UserError, match=r"^hub.example broke off after 7 bytes\n\(Not fetched again") as error:
        ModelCache().get("model", load)
    assert not error.value.passing and len(tries) == FETCHES
    assert ModelCache().get("another model", lambda: "there") == "there"


def test_other_errors_and_single_jobs_are_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full() -> str:
        raise UserError("the card is full").of_the_moment()

    def unreachable() -> str:
        raise DownloadError("no connection")

    monkeypatch.setenv("REGIONFLOW_RUN_DIR", str(tmp_path))
    for _ in range(FETCHES + 1):
        with pytest.raises(UserError, match="the card is full"):
            ModelCache().get("model", full)
    monkeypatch.delenv("REGIONFLOW_RUN_DIR")
    for _ in range(FETCHES + 1):
        with pytest.raises(DownloadError):
            ModelCache().get("model", unreachable)
