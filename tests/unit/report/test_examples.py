"""The page's examples are what the labeler `examples` reads."""

import numpy as np
import pytest

from helpers import report_page
from regionflow.semantics.example_files import read_tsv
from regionflow.semantics.labelled_regions import read_examples

ODD = 'odd "name"/b'
NAMES = {0: 'sky "blue"', 3: "tree", 7: "tree"}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    stripes = []
    for i in range(10):
        mask = np.zeros((900, 700), bool)
        mask[90 * i : 90 * (i + 1)] = True
        stripes.append(mask)
    covered = np.zeros((40, 60), bool)
    covered[10:30, 10:30] = True
    halves = [covered.copy(), covered.copy()]
    halves[0][:20] = halves[1][20:] = False
    masks = {"stripes": stripes, ODD: [covered, *halves], "unseen": stripes[:2]}
    return report_page.make(tmp_path_factory.mktemp("page"), masks, side=128, shown=2)


@pytest.fixture
def shown(page):
    """Ids of the images that the page shows: the first and the last are spread over the set."""
    return "stripes", "unseen"


def name(tab, region, text):
    tab.evaluate(f"pick(view.data.regions.id.indexOf({region}))")
    tab.fill("#class-name", text)
    tab.press("#class-name", "Enter")


def saved(tab, path):
    with tab.expect_download() as download:
        tab.click("#save-examples")
    download.value.save_as(path)
    return path


def regions_of(page, path):
    labelled, names, notes = read_examples(path, None, 0.9, list(page.masks), page.regions)
    return {(one.image, one.region, one.name) for one in labelled}, names, notes


def test_what_the_page_saves_is_read_as_the_regions_that_were_named(page, tmp_path):
    with report_page.opened(page.path) as tab:
        for region, text in NAMES.items():
            name(tab, region, text)
        path = saved(tab, tmp_path / "examples.tsv")
    found, names, notes = regions_of(page, path)
    assert found == {("stripes", region, text) for region, text in NAMES.items()}
    assert names == sorted(set(NAMES.values()))
    assert not notes


def test_a_region_wholly_under_smaller_ones_is_saved_by_its_id(page, tmp_path):
    other = report_page.make(tmp_path / "odd", {ODD: page.masks[ODD]})
    with report_page.opened(other.path) as tab:
        name(tab, 0, "thing")
        name(tab, 1, "part")
        path = saved(tab, tmp_path / "examples.tsv")
    assert {(e.region, e.point, e.name) for e in read_tsv(path)} == {(0, None, "thing"), (1, None, "part")}
    assert regions_of(other, path)[0] == {(ODD, 0, "thing"), (ODD, 1, "part")}


def test_a_file_made_before_is_taken_up_added_to_and_saved_again(page, tmp_path):
    before = tmp_path / "before.tsv"
    before.write_text(
        'image\tx\ty\tclass\nstripes\t3\t95.5\t"a ""b"""\nodd ""\t1\t1\tx\n'.replace('odd ""\t1\t1\tx\n', "")
    )
    with report_page.opened(page.path) as tab:
        tab.set_input_files("#load-examples", before)
        tab.wait_for_function("examples.size === 1")
        name(tab, 5, 'A "B"')  # another spelling of the same class
        path = saved(tab, tmp_path / "after.tsv")
    assert regions_of(page, path)[0] == {("stripes", 1, 'a "b"'), ("stripes", 5, 'a "b"')}


def test_a_bad_file_is_refused_with_its_lines_and_changes_nothing(page, tmp_path):
    bad = tmp_path / "bad.tsv"
    bad.write_text("image\tx\ty\tclass\nstripes\tthree\t5\tsky\nstripes\t3\t5\t\n")
    with report_page.opened(page.path) as tab:
        tab.set_input_files("#load-examples", bad)
        tab.wait_for_function(
            "$('example-fault').textContent.includes('line 2') && $('example-fault').textContent.includes('line 3')"
        )
        assert tab.evaluate("examples.size") == 0


def test_examples_outlive_the_page_and_it_says_so_where_they_do_not(page):
    with report_page.opened(page.path) as tab:
        name(tab, 2, "sky")
        assert "Kept" in tab.inner_text("#kept")
        tab.reload()
        tab.wait_for_selector("body[data-ready]", state="attached")
        assert tab.evaluate("examples.size") == 1
    nothing = "Object.defineProperty(window, 'localStorage', { get() { throw new Error('no') } })"
    with report_page.opened(page.path, before=nothing) as tab:
        name(tab, 2, "sky")
        assert "save the file" in tab.inner_text("#kept")
        colour = tab.evaluate("""() => {
          const { width } = view.photo;
          const i = view.ids.findIndex((id) => atomsOf(view.data.regions, 2)[id]) + 5 * width + 5;
          const pixel = $("picture").getContext("2d").getImageData(i % width, Math.floor(i / width), 1, 1);
          return [...pixel.data.slice(0, 3)];
        }""")
        wanted = tab.evaluate("colourOfName('sky')")
        assert np.abs(np.array(colour) - wanted).max() < 90
