// The page about ground truth.
const data = JSON.parse($("data").textContent);
const short = (value) => (value === null ? "–" : typeof value === "number" ? (Number.isInteger(value) ? String(value) : value.toFixed(3)) : value);
/** Columns of which more is no merit. */
const COUNTS = new Set(["masks", "images", "true_regions", "masks_per_region", "regions", "clusters", "pixels", "classes", "clusters_used"]);
const FIRST = ["segmenter", "extractor", "labeler", "regions", "split", "mean_best_iou", "share_above_half", "hungarian_accuracy", "hungarian_miou", "pixel_accuracy", "miou"];

function scores({ name, rows }) {
  const given = Object.keys(rows[0]);
  const columns = [...FIRST.filter((column) => given.includes(column)), ...given.filter((column) => !FIRST.includes(column))];
  const box = make("div", { class: "sheet", tabindex: 0, role: "region", "aria-label": `Scores of ${name}` });
  const state = { column: -1, down: true };
  const best = {};
  for (const column of columns) {
    const values = rows.map((row) => row[column]).filter((value) => typeof value === "number");
    if (rows.length > 1 && values.length && !COUNTS.has(column)) best[column] = Math.max(...values);
  }
  const draw = () => {
    const sorted = [...rows];
    if (state.column >= 0) {
      const key = columns[state.column];
      const rank = (row) => row[key] ?? -Infinity;
      sorted.sort((a, b) => (state.down ? -1 : 1) * (typeof rank(a) === "string" ? rank(a).localeCompare(rank(b)) : rank(a) - rank(b)));
    }
    const head = columns.map((column, i) => make("th", { scope: "col", "aria-sort": i !== state.column ? "none" : state.down ? "descending" : "ascending" },
      make("button", { onclick: () => ((state.down = i === state.column ? !state.down : true), (state.column = i), draw(), box.querySelectorAll("th button")[i].focus()) }, column.replaceAll("_", " "))));
    const body = sorted.map((row) => make("tr", {}, ...columns.map((column) => {
      const value = row[column] ?? null;
      return make("td", typeof value === "number" ? { class: "number" } : {}, value !== null && value === best[column] ? make("b", {}, short(value)) : short(value));
    })));
    box.replaceChildren(make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body)));
  };
  draw();
  return make("div", {}, make("h3", {}, name), box);
}

const card = (one) => make("figure", { class: "judged" }, make("img", { src: one.src, alt: `${one.image}: true regions and their best masks`, loading: "lazy" }),
  make("figcaption", {}, make("b", {}, one.image), ` mean best IoU ${short(one.mean_best_iou)}, ${short(one.true_regions)} true regions, ${short(one.masks)} masks, boundary F ${short(one.boundary_f)}`));

function kind(k) {
  const text = (v) => v.toFixed(2);
  return make("div", {}, make("h3", {}, k.name), make("div", { class: "figures" },
    histogram(`IoU of the best mask of each true region, ${k.counted} images`, k.regions, text), histogram("Mean best IoU of an image", k.images, text)),
    ...["worst", "best"].flatMap((end) => (k[end].length ? [make("h3", {}, `${k.name}: ${end}`), make("div", { class: "cards" }, ...k[end].map(card))] : [])));
}

$("tables").append(...data.tables.map(scores));
$("kinds").append(...data.kinds.map(kind));
$("good").style.background = css(data.colours.good);
$("bad").style.background = css(data.colours.bad);
document.body.dataset.ready = 1;
