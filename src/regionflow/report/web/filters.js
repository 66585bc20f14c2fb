// Which regions are looked at: by cluster, class, source, score and area.
const bound = (id) => ($(id).value === "" ? null : +$(id).value);

function passes(place) {
  const r = view.data.regions;
  const is = (id, value) => $(id).value === "*" || $(id).value === String(value);
  const share = (100 * r.area[place]) / (images.width[view.image] * images.height[view.image]);
  const [least, most, score] = ["filter-least", "filter-most", "filter-score"].map(bound);
  return is("filter-cluster", r.cluster[place]) && is("filter-class", classValue(place)) && is("filter-source", r.source[place]) &&
    (least === null || share >= least) && (most === null || share <= most) && (score === null || (r.iou[place] ?? 0) >= score);
}

/** The choices that this image has; what was chosen stays, so that it goes on from image to image. */
function fillFilters() {
  const r = view.data.regions;
  const choices = {
    "filter-cluster": [...new Set(r.cluster)].sort((a, b) => a - b).map((c) => [c, nameOf(c)]),
    "filter-class": labeler() ? [...new Set(r.id.map((_, place) => classValue(place)))].sort((a, b) => a - b).map((v) => [v, v ? labeler().classes[v - 1] : "no class"]) : [],
    "filter-source": [...new Set(r.source)].sort().map((s) => [s, s]),
  };
  for (const [id, values] of Object.entries(choices)) {
    const before = $(id).value || "*";
    if (before !== "*" && !values.some(([value]) => String(value) === before)) values.push([before, `${before} (not here)`]);
    $(id).replaceChildren(make("option", { value: "*" }, "all"), ...values.map(([value, text]) => make("option", { value }, text)));
    $(id).value = before;
  }
  $("filter-class").parentElement.hidden = !labeler();
}

const FILTERS = ["filter-cluster", "filter-class", "filter-source", "filter-least", "filter-most", "filter-score"];
for (const id of FILTERS) $(id).addEventListener("input", refresh);
$("filter-reset").addEventListener("click", () => {
  for (const id of FILTERS) $(id).value = id.match(/cluster|class|source/) ? "*" : "";
  refresh();
});
