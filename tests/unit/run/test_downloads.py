"""Downloads on the console: bars with size, speed and time left, or the same as text."""

import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from regionflow.run.downloads import Downloads
from regionflow.weights import progress
from regionflow.weights.progress import Download, told, under_way

GB = 10**9


def shown(downloads: Downloads) -> str:
    screen = io.StringIO()
    Console(file=screen, width=120).print(downloads.table())
    return screen.getvalue()


def test_size_speed_and_time_left_of_each() -> None:
    now = [0.0]
    downloads = Downloads(lambda: now[0])
    for second in range(0, 11):
        now[0] = float(second)
        sam = Download("sam_vit_h_4b8939.pth", GB + second * 10**7, 2 * GB)  # the first GB was there before
        assert downloads.look([sam, Download("unknown.pth", second * 10**6, None)])
    bars = shown(downloads)
    assert "sam_vit_h_4b8939.pth" in bars and "1.1/2.0 GB" in bars and "10.0 MB/s" in bars and "01:30" in bars
    assert downloads.line() == (
        "downloading sam_vit_h_4b8939.pth: 1100 of 2000 MB (55%), 10.0 MB/s, 90 s left; "
        "downloading unknown.pth: 10 MB, 1.0 MB/s"
    ).replace("90 s", "2 min")


def test_what_has_ended_goes_and_is_shown_once_more_without() -> None:
    downloads = Downloads()
    downloads.look([Download("a.pth", 1, 2)])
    assert downloads.look([]) and downloads.are_none
    assert shown(downloads).strip() == "" and downloads.line() == ""
    assert not downloads.look([])


def test_a_download_leaves_notes_in_the_folder_of_its_run_until_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REGIONFLOW_RUN_DIR", str(tmp_path))
    monkeypatch.setattr(progress, "SECONDS", -1.0)
    with pytest.raises(KeyboardInterrupt), told("a.pth") as tell:
        tell(5, 10)
        (note,) = (tmp_path / "downloads").iterdir()
        now = note.stat().st_mtime
        assert under_way(tmp_path, now) == [Download("a.pth", 5, 10)]
        assert under_way(tmp_path, now + progress.STALE) == []  # its process was killed
        raise KeyboardInterrupt
    assert under_way(tmp_path, now) == []
    assert "(50%)" in capsys.readouterr().out


def test_notes_that_are_none_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "downloads").mkdir()
    (tmp_path / "downloads/half.json").write_text('{"name": "a')
    (tmp_path / "downloads/other.json").write_text(json.dumps({"what": 1}))
    os.utime(tmp_path / "downloads/half.json", (0, 0))
    assert under_way(tmp_path, 0.0) == []
    assert under_way(None, 0.0) == []


def test_outside_of_a_run_only_the_log_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REGIONFLOW_RUN_DIR", raising=False)
    lines: list[str] = []
    with told("a.pth", lines.append) as tell:
        tell(10**6, 10**7)
    assert lines == ["1 MB of 10 MB (10%)"]
