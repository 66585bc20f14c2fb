"""Damaged files in results/: each is found and named, and nothing hangs or crashes, native code included."""

import random
from pathlib import Path

import pytest

from helpers.small_results import make
from regionflow.verify import problem_of

SUFFIXES = (".json", ".h5", ".png")


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("damage") / "results"
    make(root)
    return root


def damaged(data: bytes, rng: random.Random) -> bytes:
    """A file after one accident: a flipped bit, lost or doubled bytes, a hole, a cut end, other bytes at its end."""
    at = rng.randrange(len(data))
    length = rng.choice([1, 2, 8, 64, 512])
    before, after = data[:at], data[at + length :]
    lost = data[at : at + length]
    flipped = bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :]
    accidents = [
        before + flipped,
        before,
        before + after,
        before + lost + lost + after,
        before + bytes(len(lost)) + after,
        before + rng.randbytes(len(lost)) + after,
        data + rng.randbytes(length),
    ]
    return rng.choice(accidents)


def every_damage_is_named(root: Path, suffix: str, count: int, seed: int) -> None:
    rng = random.Random(seed)
    files = sorted(root.rglob(f"*{suffix}"))
    assert len(files) >= 6
    for turn in range(count):
        path = rng.choice(files)
        whole = path.read_bytes()
        broken = damaged(whole, rng)
        if broken == whole:
            continue
        path.write_bytes(broken)
        try:
            problem = problem_of(root, path)
            assert problem is not None, f"{path}: turn {turn} of seed {seed} was not seen"
            assert problem.unsound
            assert str(path) in str(problem)
            assert "delete it and run again" in str(problem)
        finally:
            path.write_bytes(whole)
    for path in files:
        assert problem_of(root, path) is None


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damage_is_found_and_named(results: Path, suffix: str) -> None:
    every_damage_is_named(results, suffix, 40, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "count"), [(".json", 1000), (".h5", 500), (".png", 500)])
def test_much_damage_is_found_and_named(results: Path, suffix: str, count: int) -> None:
    every_damage_is_named(results, suffix, count, seed=1)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_file_is_named(results: Path, suffix: str) -> None:
    for path in results.rglob(f"*{suffix}"):
        whole = path.read_bytes()
        path.write_bytes(b"")
        problem = problem_of(results, path)
        path.write_bytes(whole)
        assert problem is not None
        assert str(path) in str(problem)
