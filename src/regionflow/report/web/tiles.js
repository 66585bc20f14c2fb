// Every image of the set: search, pages of tiles.
let found = [];
let page = 0;
const PAGE = 24;
const everyImage = images.id.map((_, image) => image);

function search() {
  const word = $("search").value.trim().toLowerCase();
  const split = $("split").value;
  const from = $("scope").value === "shown" && !word ? shown : everyImage;
  found = from.filter((image) => (!word || images.id[image].toLowerCase().includes(word)) && (split === "*" || images.split[image] === split));
  page = 0;
  tiles();
}

function tile(image) {
  const facts = `${number.format(images.regions[image])} regions, ${percent(images.regions_covered[image])}`;
  const text = [make("span", { class: "name" }, images.id[image]), make("span", { class: "facts" }, facts)];
  if (shownSet.has(image)) {
    const picture = make("img", { src: imageData(image).photo, alt: "" });
    return make("button", { class: "tile", title: images.id[image], "data-image": image, onclick: () => (open(image), $("images").scrollIntoView()) }, picture, ...text);
  }
  const none = make("span", { class: "none" }, "not on this page;\noverlay file ↗");
  return make("a", { class: "tile", title: images.id[image], href: overlay(image), target: "_blank", "data-image": image }, none, ...text);
}

function tiles() {
  const pages = Math.max(1, Math.ceil(found.length / PAGE));
  const part = found.slice(page * PAGE, (page + 1) * PAGE);
  $("tiles").replaceChildren(...part.map(tile));
  $("found").textContent = `${number.format(found.length)} image${found.length === 1 ? "" : "s"}`;
  $("page-number").textContent = `${page + 1} / ${pages}`;
  $("page-back").disabled = page === 0;
  $("page-on").disabled = page + 1 >= pages;
  document.querySelector(`.tile[data-image="${view.image}"]`)?.classList.add("current");
}
$("page-back").addEventListener("click", () => (page--, tiles()));
$("page-on").addEventListener("click", () => (page++, tiles()));
$("search").addEventListener("input", search);
$("scope").addEventListener("change", search);
$("split").addEventListener("change", search);

/** The next or previous image of those found. */
function step(by) {
  const list = found.filter((image) => shownSet.has(image));
  const at = list.indexOf(view.image);
  if (list.length) open(list[(Math.max(at, by < 0 ? 0 : -1) + by + list.length) % list.length]);
}
$("previous").addEventListener("click", () => step(-1));
$("next").addEventListener("click", () => step(1));

function fillScopes() {
  const all = shown.length === images.id.length;
  $("scope").append(make("option", { value: "shown" }, `on this page (${number.format(shown.length)})`));
  $("scope").append(make("option", { value: "all" }, `all images (${number.format(images.id.length)})`));
  $("scope").hidden = all;
  const splits = [...new Set(images.split)].sort();
  $("split").append(make("option", { value: "*" }, "all splits"), ...splits.map((s) => make("option", { value: s }, s || "(no split)")));
  $("split").hidden = splits.length < 2;
  $("labeler").append(...labelers.map((l, i) => make("option", { value: i }, l.name)));
  $("labeler").parentElement.hidden = labelers.length < 2;
  $("classes").hidden = $("classes-link").hidden = !labelers.length;
  for (const name of ["layer-classes", "confidence"]) $(name).disabled = !labelers.length;
}

/** Show a region, in the viewer if its image is on this page, else in its overlay file. */
function openRegion(image, region) {
  hideTip();
  if (!shownSet.has(image)) return void window.open(overlay(image), "_blank");
  $("images").scrollIntoView();
  return open(image, region);
}
