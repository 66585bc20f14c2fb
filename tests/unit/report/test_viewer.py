"""In a browser: every region can be seen and picked, by pointer and by keys."""

import numpy as np
import pytest

from helpers import report_page

SIZE = (160, 220)


def nested(count):
    """Boxes in boxes, and small boxes over them: some lie wholly under smaller ones."""
    height, width = SIZE
    masks = []
    for i in range(count // 4):
        mask = np.zeros(SIZE, bool)
        mask[i : height - i, i : width - i] = True
        masks.append(mask)
    rng = np.random.default_rng(1)
    while len(masks) < count:
        mask = np.zeros(SIZE, bool)
        y, x = rng.integers(0, height - 24), rng.integers(0, width - 24)
        h, w = rng.integers(2, 24, 2)
        mask[y : y + h, x : x + w] = True
        if len(masks) % 5 == 0:
            mask[y : y + h // 2] = False
            masks.append(~mask)
        elif mask.any():
            masks.append(mask)
    return masks


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    covered = np.zeros((40, 60), bool)
    covered[10:30, 10:30] = True
    halves = [covered.copy(), covered.copy()]
    halves[0][:20] = halves[1][20:] = False
    masks = {"nested": nested(300), 'odd "name"/b': [covered, *halves]}
    return report_page.make(tmp_path_factory.mktemp("page"), masks)


def test_every_region_of_a_photo_with_300_nested_ones_can_be_picked_and_is_drawn_whole(page):
    script = """
    async () => {
      const canvas = $("highlight"), box = canvas.getBoundingClientRect();
      const { width, height } = view.photo;
      const scale = Math.min(box.width / width, box.height / height);
      const [left, top] = [box.left + (box.width - width * scale) / 2, box.top + (box.height - height * scale) / 2];
      const drawn = [];
      for (let place = 0; place < view.data.regions.id.length; place++) {
        const inside = atomsOf(view.data.regions, place);
        const i = view.ids.findIndex((id) => inside[id]);
        const [x, y] = [left + ((i % width) + 0.5) * scale, top + (Math.floor(i / width) + 0.5) * scale];
        const at = { clientX: x, clientY: y, bubbles: true, cancelable: true, deltaY: 100 };
        pick(-1);
        canvas.dispatchEvent(new MouseEvent("mousemove", at));
        let turns = 0;
        while (view.hovered !== place && turns++ < 400) canvas.dispatchEvent(new WheelEvent("wheel", at));
        const hovered = view.hovered;
        $("list-body").querySelector(`[data-place="${place}"]`).click();
        const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
        let mask = "";
        for (let p = 0; p < width * height; p++) mask += data[4 * p + 3] === 130 ? "0" : "1";
        drawn.push([hovered, view.region, location.hash, mask]);
      }
      return drawn;
    }"""
    with report_page.opened(page.path) as tab:
        drawn = tab.evaluate(script)
    assert len(drawn) == 300
    for place, (hovered, region, address, mask) in enumerate(drawn):
        assert (hovered, region) == (place, place)
        assert address == f"#image=nested&region={place}"
        assert (np.array(list(mask), int).reshape(SIZE) == page.masks["nested"][place]).all()


def test_by_keyboard_alone_from_the_start_to_a_file_of_examples(page, tmp_path):
    with report_page.opened(page.path) as tab:
        keys = tab.keyboard
        keys.press("v")
        for key in ("ArrowRight", "ArrowDown", "]", "Enter"):
            keys.press(key)
        facts = tab.inner_text("#picked-facts")
        assert facts.startswith("region ")
        keys.press("c")
        keys.type("cow")
        keys.press("Enter")
        assert "example of: cow" in tab.inner_text("#picked-facts")
        keys.press("Escape")
        keys.press("r")
        keys.press("ArrowDown")
        keys.press("Enter")
        keys.press("s")
        assert tab.inner_text("#selected") == "1 region selected"
        keys.press("n")
        tab.wait_for_function("document.body.dataset.image === '1'")
        keys.press("p")
        tab.wait_for_function("document.body.dataset.image === '0'")
        keys.press("2")
        assert tab.is_checked("#layer-regions")
        keys.press("?")
        assert tab.is_visible("#help")
        keys.press("Escape")
        tab.focus("#scatter")
        keys.press("ArrowRight")
        keys.press("ArrowRight")
        keys.press("Enter")
        tab.wait_for_function("document.activeElement.id === 'highlight'")
        tab.focus("#save-examples")
        with tab.expect_download() as saved:
            keys.press("Enter")
        saved.value.save_as(tmp_path / "examples.tsv")
    assert (tmp_path / "examples.tsv").read_text().startswith("image\tx\ty\tclass\nnested\t")


def test_filters_list_and_tree_leave_what_they_say(page):
    with report_page.opened(page.path) as tab:
        tab.click("#filters summary")
        tab.fill("#filter-score", "0.9")
        left = tab.evaluate("listed().map((place) => view.data.regions.iou[place])")
        assert left and min(left) >= 0.9
        assert tab.locator("#list-body tr").count() == len(left)
        tab.select_option("#filter-cluster", "1")
        assert set(tab.evaluate("listed().map((place) => view.data.regions.cluster[place])")) == {1}
        tab.click("#filter-reset")
        tab.click("#list-head th:nth-child(1) button")
        assert tab.locator("#list-body tr").first.get_attribute("data-place") == "0"
        tab.click("#as-tree")
        summary = tab.locator("#tree summary").first
        summary.click()
        children = tab.evaluate("branches.get(view.region).length")
        assert tab.locator("#tree > ul > li").first.locator("ul").first.locator("> li").count() == children


def test_zoom_keeps_what_is_under_the_pointer_and_links_open_their_region(page):
    with report_page.opened(page.path) as tab:
        box = tab.locator("#highlight").bounding_box()
        at = box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.6
        tab.mouse.move(*at)
        before = tab.evaluate("[view.hovered, view.stack.length]")
        tab.evaluate(f"zoomTo(4, {box['width'] * 0.4}, {box['height'] * 0.6})")
        tab.mouse.move(at[0] + 0.1, at[1])
        assert tab.evaluate("[view.hovered, view.stack.length]") == before
        tab.evaluate("location.hash = '#image=nested&region=7'")
        tab.wait_for_function("view.region === 7")
        assert "region 7 " in tab.inner_text("#picked-facts")


def test_similar_regions_lasso_and_the_selection_s_file(page, tmp_path):
    with report_page.opened(page.path) as tab:
        tab.locator("#list-body tr").nth(3).click()
        tab.click("#find-similar")
        tab.wait_for_function("document.querySelectorAll('#similar .crop').length === 18")
        tab.click("#lasso")
        box = tab.locator("#scatter").bounding_box()
        tab.locator("#scatter").scroll_into_view_if_needed()
        box = tab.locator("#scatter").bounding_box()
        corners = [(2, 2), (box["width"] - 2, 2), (box["width"] - 2, box["height"] - 2), (2, box["height"] - 2)]
        tab.mouse.move(box["x"] + 2, box["y"] + 2)
        tab.mouse.down()
        for x, y in corners:
            tab.mouse.move(box["x"] + x, box["y"] + y, steps=4)
        tab.mouse.up()
        assert tab.evaluate("selected.size") == tab.evaluate("points.x.length") == 303
        with tab.expect_download() as saved:
            tab.click("#save-selection")
        saved.value.save_as(tmp_path / "regions.tsv")
    lines = (tmp_path / "regions.tsv").read_text().splitlines()
    assert lines[0] == "region_id"
    assert len(lines) == 304
    assert "nested_region_0" in lines


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (420, "dark")])
def test_the_page_keeps_to_the_rules_of_accessibility_and_to_the_width_of_the_screen(page, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="no axe-playwright-python")
    with report_page.opened(page.path, width, scheme) as tab:
        tab.click("#list-body tr")
        tab.click("#filters summary")
        broken = axe.Axe().run(tab).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"]) for rule in broken] == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
