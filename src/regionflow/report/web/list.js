// The list of an image's regions: sorted by a click on a column, moved through by the arrow keys.
const COLUMNS = [
  ["region", (p) => view.data.regions.id[p]],
  ["area", (p) => view.data.regions.area[p]],
  ["score", (p) => view.data.regions.iou[p] ?? -1],
  ["source", (p) => view.data.regions.source[p]],
  ["cluster", (p) => view.data.regions.cluster[p]],
  ["class", (p) => exampleOf(view.image, p)?.name ?? className(p)],
  ["in", (p) => (view.data.regions.parent[p] < 0 ? -1 : view.data.regions.id[view.data.regions.parent[p]])],
];
const sorting = { column: 1, down: true };
const ROWS = 500;
let rows = ROWS;

function listed() {
  const key = COLUMNS[sorting.column][1];
  const places = view.data.regions.id.map((_, place) => place).filter((place) => view.passing[place]);
  const compare = (a, b) => (typeof a === "string" ? a.localeCompare(b) : a - b);
  return places.sort((a, b) => (sorting.down ? -1 : 1) * compare(key(a), key(b)) || a - b);
}

function fillList() {
  const places = listed();
  $("list-head").replaceChildren(...COLUMNS.map(([name], i) => make("th", {
    scope: "col", "aria-sort": i !== sorting.column ? "none" : sorting.down ? "descending" : "ascending",
  }, make("button", { onclick: () => sortBy(i) }, name, i === sorting.column ? (sorting.down ? " ▾" : " ▴") : ""))));
  $("list-body").replaceChildren(...places.slice(0, rows).map(listRow));
  $("list-count").textContent = `${number.format(places.length)} of ${number.format(view.data.regions.id.length)} regions`;
  $("list-more").hidden = places.length <= rows;
  markPicked();
}

function listRow(place) {
  const r = view.data.regions;
  const cells = COLUMNS.map(([name, key]) => {
    const value = key(place);
    if (name === "cluster") return make("td", {}, swatch(colourOf(value)), value < 0 ? " –" : ` ${value}`);
    if (name === "area") return make("td", { class: "number" }, number.format(value));
    if (name === "score") return make("td", { class: "number" }, r.iou[place] === null ? "–" : r.iou[place].toFixed(2));
    return make("td", {}, value === -1 ? "–" : String(value));
  });
  return make("tr", {
    tabindex: -1, "data-place": place,
    onmouseenter: () => highlightRegion(place), onmouseleave: rehighlight, onfocus: () => highlightRegion(place),
    onclick: (event) => (pick(place), event.currentTarget.focus()), onkeydown: moveInList,
  }, ...cells);
}

function moveInList(event) {
  const row = event.currentTarget;
  const to = { ArrowDown: row.nextSibling, ArrowUp: row.previousSibling, Home: row.parentNode.firstChild, End: row.parentNode.lastChild }[event.key];
  if (to) to.focus();
  else if (event.key === "Enter" || event.key === " ") pick(+row.dataset.place);
  else return;
  event.preventDefault();
  event.stopPropagation();
}

/** Mark the picked row; it, or else the first, is where the tab key enters the list. */
function markPicked() {
  const all = [...$("list-body").children];
  for (const row of all) row.removeAttribute("aria-current"), (row.tabIndex = -1);
  const row = all.find((each) => +each.dataset.place === view.region);
  if (row) row.setAttribute("aria-current", "true"), inSight(row, $("list"));
  if (row || all[0]) (row || all[0]).tabIndex = 0;
  for (const leaf of document.querySelectorAll("#tree [data-place]")) leaf.classList.toggle("current", +leaf.dataset.place === view.region);
}

/** Scroll a box, not the page, so that an element in it can be seen. */
function inSight(element, box) {
  const [own, outer] = [element.getBoundingClientRect(), box.getBoundingClientRect()];
  if (own.top < outer.top + 30) box.scrollTop += own.top - outer.top - 40;
  else if (own.bottom > outer.bottom) box.scrollTop += own.bottom - outer.bottom + 10;
}

function sortBy(column) {
  sorting.down = column === sorting.column ? !sorting.down : column === 1 || column === 2;
  sorting.column = column;
  fillList();
  $("list-head").children[column].firstChild.focus();
}
$("list-more").addEventListener("click", () => ((rows += ROWS), fillList()));
