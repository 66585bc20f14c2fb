"""What is told of a plan in shards."""

from regionflow.run.totals import Share, counts, told

TABLE = """regionflow: 2 CPU slots
Job stats:
job          count
---------  -------
masks            2
regions         12
wanted           1
total           15

"""


def test_the_table_of_a_dry_run_is_read() -> None:
    assert counts(TABLE) == {"masks": 2, "regions": 12}
    assert counts("Nothing to be done (all requested files are present and up to date).") == {}


def test_images_are_added_up_and_what_is_not_exact_says_so() -> None:
    shares = [
        Share("0", True, {"masks": 2, "regions": 12}, True),
        Share("1", True, {"masks": 30}, True),
        Share("set", False, {"clusters": 2}, True),
        Share("1", True, {"labels": 500}, False),
        Share("set", False, {"coco": 1}, False),
        Share("set", True, {"overlay": 3}, False),
    ]
    assert told(shares, 4).splitlines() == [
        "2 of 4 shard(s) would be looked after; to be made:",
        "  masks     32 image(s)",
        "  regions   12 image(s)",
        "  labels    at most 500 image(s)",
        "  overlay   at most 3 image(s)",
        "  clusters  the whole set, 2 times",
        "  coco      at most the whole set",
    ]


def test_shards_that_make_nothing_are_told_all_the_same() -> None:
    assert told([Share("0", True, {}, True)], 1) == "1 of 1 shard(s) would be looked after; to be made:"
