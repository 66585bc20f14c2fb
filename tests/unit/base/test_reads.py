"""Who listens is told of every file that is read while it does; of its own thread's alone, if it asks for that."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from regionflow.base.reads import note, note_bytes, noted

A, B = "a" * 64, "b" * 64


def test_what_is_read_while_somebody_listens_is_noted(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    outer: dict[str, str] = {}
    inner: dict[str, str] = {}
    note(Path("before"), lambda: 1 / 0)  # nobody listens: nothing is computed
    with noted(outer):
        note(Path("one"), lambda: A)
        with noted(inner):
            note_bytes(Path("two"), b"content")
    note(Path("after"), lambda: 1 / 0)
    two = {f"{tmp_path}/two": hashlib.sha256(b"content").hexdigest()}
    assert inner == two
    assert outer == {f"{tmp_path}/one": A, **two}


def test_jobs_in_threads_of_one_process_note_their_own(tmp_path: Path) -> None:
    everything: dict[str, str] = {}

    def job(number: int) -> dict[str, str]:
        read: dict[str, str] = {}
        with noted(read, of_thread=True):
            for part in range(50):
                note(tmp_path / f"{number}-{part}", lambda: B)
        return read

    with noted(everything), ThreadPoolExecutor(4) as pool:
        reads = list(pool.map(job, range(8)))
    for number, read in enumerate(reads):
        assert read == {f"{tmp_path}/{number}-{part}": B for part in range(50)}
    assert len(everything) == 400
