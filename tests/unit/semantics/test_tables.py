import numpy as np
import pytest

from regionflow.semantics.shipped import coco_panoptic, known_things
from regionflow.semantics.tables import BadClassTable, ClassTable, read_table, read_tables


def test_the_shipped_tables_are_total_and_keep_the_published_numbers():
    coco = coco_panoptic()
    assert len(coco) == len(set(coco)) == 133
    to_28, to_19 = read_table("coco_133_to_28", coco), read_tables(["coco_133_to_28", "coco_28_to_19"], coco)
    assert len(to_28.targets) == 28 and len(to_19.targets) == 19
    # 10 sidewalk, 16 column and 20 awning are declared, but no COCO class becomes one of them.
    assert set(range(28)) - set(to_28.index.tolist()) == {10, 16, 20}
    published = {"person": 11, "road": 6, "pavement-merged": 6, "sand": 9, "teddy bear": 23, "mountain-merged": 27}
    assert {name: int(to_28.index[coco.index(name)]) for name in published} == published
    assert to_19.targets[to_19.index[coco.index("rug-merged")]] == "ground"
    assert to_19.targets[to_19.index[coco.index("airplane")]] == "others"


def test_all_mistakes_are_told_at_once_with_their_lines(tmp_path):
    path = tmp_path / "mine.tsv"
    path.write_text("source\ttarget\ncat\tanimal\ndog\t\ncat\tpet\ncow\tanimal\n")
    with pytest.raises(BadClassTable) as error:
        read_table(str(path), ["cat", "dog", "car"])
    text = str(error.value)
    assert "line 3: no target for 'dog'" in text
    assert "line 2: 'cat' stands more than once" in text and "line 4: 'cat' stands more than once" in text
    assert "line 5: 'cow' is no class" in text
    assert "no line for 'car'" in text


def test_a_file_that_is_no_table_is_named(tmp_path):
    (tmp_path / "a.tsv").write_text("from\tto\n")
    with pytest.raises(BadClassTable, match=r"a\.tsv: the first line"):
        read_table(str(tmp_path / "a.tsv"), ["cat"])
    with pytest.raises(BadClassTable, match="coco_133_to_28"):
        read_table("coco_27", ["cat"])


def test_scores_add_up_and_labels_are_renamed():
    table = ClassTable(["animal", "car", "unused"], np.array([0, 1, 0]))
    scores = np.array([0.2, 0.5, 0.3], np.float32)
    np.testing.assert_allclose(table.merge_scores(scores), [0.5, 0.5, 0])
    assert table.merge_scores(np.ones((3, 2, 2), np.float32)).shape == (3, 2, 2)
    assert table.merge_labels(np.array([[0, 1, 2, 3]], np.uint16)).tolist() == [[0, 1, 2, 1]]


def test_what_is_a_thing_follows_from_what_it_is_made_of():
    coco = coco_panoptic()
    things = known_things(coco)
    # COCO panoptic has 80 classes of things and 53 of stuff.
    assert things == [True] * 80 + [False] * 53 and coco[79] == "toothbrush"
    assert known_things(["sky-other-merged", "cat"]) == [False, True]
    assert known_things(["sky", "cat"]) is None and known_things([]) is None
    to_19 = read_tables(["coco_133_to_28", "coco_28_to_19"], coco, things)
    of = dict(zip(to_19.targets, to_19.things, strict=True))
    assert of["person"] and of["car"] and of["boat"] and not of["sky"] and not of["structure"] and not of["ground"]
    # "others" holds things and stuff.
    assert not of["others"]
    assert read_table("coco_133_to_28", coco).things is None


def test_a_table_may_say_what_is_a_thing_and_says_it_once(tmp_path):
    path = tmp_path / "mine.tsv"
    path.write_text("source\ttarget\tisthing\ncat\tanimal\t1\ndog\tanimal\t1\nsky\tbackground\t0\n")
    assert read_table(str(path), ["cat", "dog", "sky"], [False] * 3).things == [True, False]
    path.write_text("source\ttarget\tisthing\ncat\tanimal\t1\ndog\tanimal\t0\nsky\tbackground\tno\n")
    with pytest.raises(BadClassTable) as error:
        read_table(str(path), ["cat", "dog", "sky"])
    assert "line 3: another isthing for 'animal'" in str(error.value)
    assert "line 4: isthing is 'no', not 1 or 0" in str(error.value)
