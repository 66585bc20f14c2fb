"""The user's table: any encoding that Excel writes, all bad rows at once, one missing file stops nothing."""

import pytest

from regionflow.images.find import ImageListError, find_images
from regionflow.images.options import ImagesOptions

ROWS = "id\tpath\tsplit\r\nmüller\tmüller.png\tTrain\r\nb\tb.png\tTest\r\n"


@pytest.fixture
def folder(tmp_path):
    for name in ("müller.png", "b.png", "c.png", "d.png"):
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def found(folder, content):
    (folder / "t.tsv").write_bytes(content)
    return find_images(ImagesOptions(table=str(folder / "t.tsv")))


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "cp1252", "latin-1"]
)
def test_any_encoding_that_excel_writes(folder, encoding):
    images = found(folder, ROWS.encode(encoding))
    assert list(images) == ["b", "müller"]
    assert images["müller"].path == folder / "müller.png"


def test_what_is_no_text_is_named(folder):
    with pytest.raises(ImageListError, match=r"t\.tsv.*save it as UTF-8"):
        found(folder, b"\xff\xfei\0d\0\0\xd8\0")
    with pytest.raises(ImageListError, match=r"t\.tsv.*save it as UTF-8"):
        found(folder, b"PK\3\4\x14\0\6\0" + bytes(range(256)))


def test_a_wrong_encoding_is_told_with_the_rows_that_it_breaks(folder):
    mac = "id\tpath\nx\tmüller.png\n".encode("mac-roman")
    with pytest.raises(ImageListError, match="read as cp1252: if names look wrong, save it as UTF-8"):
        found(folder, mac)


def test_all_bad_rows_are_told_at_once(folder):
    content = "id\tpath\n\tb.png\nx\t\n\ny\tb.png\n<z>\tc.png\n"
    with pytest.raises(ImageListError) as error:
        found(folder, content.encode())
    assert "2 row(s)" in str(error.value)
    assert "line 2: id and path" in str(error.value)
    assert "line 3: id and path" in str(error.value)
    with pytest.raises(ImageListError) as error:
        found(folder, b"id\tpath\n<z>\tc.png\n{y}\td.png\n../up\tb.png\n")
    assert all(name in str(error.value) for name in ("'<z>'", "'{y}'", "'../up'"))


def test_an_unclosed_quote_does_not_swallow_the_rest(folder):
    with pytest.raises(ImageListError, match=r"unexpected end of data"):
        found(folder, b'id\tpath\na\t"b.png\nb\tc.png\n')


def test_one_missing_file_is_one_unreadable_image(folder):
    images = found(folder, b"id\tpath\na\tb.png\nb\tgone.png\nc\tc.png\n")
    assert list(images) == ["a", "b", "c"]
    with pytest.raises(ImageListError, match="2 row"):
        found(folder, b"id\tpath\na\tb.png\nb\tgone.png\nc\tgone2.png\n")


def test_columns_are_found_without_case_and_blanks(folder):
    assert list(found(folder, b" ID \tPath\na\tb.png\n")) == ["a"]
    with pytest.raises(ImageListError, match=r"separated by tabs; it has 'id;path'"):
        found(folder, b"id;path\na;b.png\n")


def test_splits_are_one_whatever_their_case_and_blanks(folder):
    rows = "id\tpath\tsplit\na\tb.png\t Train\nb\tc.png\tTRAINING \nc\td.png\tTest\nd\tmüller.png\ttest\n"
    images = found(folder, rows.encode())
    assert [entry.split for entry in images.values()] == ["train", "train", "Test", "Test"]
