"""The jobs of all inner runs added up: what is finished, what a running one says, what has not begun."""

from pathlib import Path

import pytest

from regionflow.run.inner import Inner
from regionflow.run.phases import Phase
from regionflow.run.progress import Tally
from regionflow.run.shard_progress import Expected, Shards, report

REGIONS = Phase("pooled-12345678", True, (), ("masks", "pooled"), (), (), (), (("masks", 1), ("pooled", 2)))
FIT = Phase("clusters-12345678", False, (), ("clusters",), (REGIONS.name,), (), (), (("clusters", 1),))


@pytest.fixture
def shards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shards:
    monkeypatch.chdir(tmp_path)
    shards = Shards()
    shards.expect([Expected(REGIONS, "0", 10), Expected(REGIONS, "1", 20), Expected(FIT, "set", 0)])
    return shards


def tell(shard: str, total: dict[str, int], done: dict[str, int], failed: int = 0) -> None:
    tally = Tally(total, 0.0, failed=set(range(failed)))
    tally.done.update(done)
    tally.busy.update({rule: 2.0 * number for rule, number in done.items()})
    report(Inner(REGIONS, shard, {}), tally)


def test_everything_is_ahead_at_first(shards: Shards) -> None:
    tally = shards.tally(0.0)
    assert tally.total == {"masks": 30, "pooled": 60, "clusters": 1}
    assert sum(tally.done.values()) == 0
    assert shards.images() == "images: 0/30 to pooled"


def test_a_running_shard_counts_what_it_has_left(shards: Shards) -> None:
    shards.running.add((REGIONS.name, "1"))
    assert sum(shards.tally(0.0).done.values()) == 0  # it has not planned yet
    tell("1", {"masks": 8, "pooled": 16}, {"masks": 6, "pooled": 4}, failed=1)  # of 20 images 12 were there
    tally = shards.tally(0.0)
    assert tally.done == {"masks": 18, "pooled": 28}
    assert tally.busy == {"masks": 12.0, "pooled": 8.0}
    assert len(tally.failed) == 1
    assert shards.images() == "images: 8/30 to pooled"


def test_a_finished_shard_is_done_whole(shards: Shards) -> None:
    shards.running |= {(REGIONS.name, "0"), (FIT.name, "set")}
    shards.finished.add((REGIONS.name, "0"))
    tell("0", {"masks": 10}, {"masks": 3}, failed=2)
    tally = shards.tally(0.0)
    assert tally.done == {"masks": 10, "pooled": 20}
    assert not tally.failed
    assert shards.images() == "images: 10/30 to pooled"
