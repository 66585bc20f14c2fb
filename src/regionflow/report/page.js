"use strict";
// Errors are kept where tests, and people who ask for help, can read them.
window.problems = [];
addEventListener("error", (event) => window.problems.push(event.message));
addEventListener("unhandledrejection", (event) => window.problems.push(String(event.reason)));

const $ = (id) => document.getElementById(id);
const data = JSON.parse($("data").textContent);
const { images, clusters } = data;
const number = new Intl.NumberFormat("en");
const percent = (share) => (100 * share).toFixed(share < 0.0995 ? 1 : 0) + " %";
const NONE = [140, 140, 140];
const LINES = { regions: [255, 255, 255], masks: [86, 180, 233], superpixels: [240, 228, 66] };
const PAGE = 24;

/** An element with attributes, listeners (on…) and children; text is never read as HTML. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}
const colourOf = (cluster) => (cluster < 0 ? NONE : clusters[cluster].colour);
const css = (colour) => `rgb(${colour.join(",")})`;
const swatch = (cluster) => make("i", { class: "swatch", style: `background:${css(colourOf(cluster))}` });
const nameOf = (cluster) => (cluster < 0 ? "no cluster" : `cluster ${cluster}`);

// ---------------------------------------------------------------- tooltip
function showTip(event, title, ...lines) {
  const tip = $("tip");
  tip.replaceChildren(make("b", {}, title), ...lines.filter(Boolean).flatMap((line) => [line, make("br")]));
  tip.style.display = "block";
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(event.clientX + 16, innerWidth - width - 8)) + "px";
  tip.style.top = (event.clientY + 20 + height > innerHeight ? event.clientY - height - 12 : event.clientY + 20) + "px";
}
const hideTip = () => ($("tip").style.display = "none");

// ---------------------------------------------------------------- viewer
const view = { image: -1, data: null, ids: null, superpixels: null, photo: null, pinned: -1 };
const cache = new Map();
const shown = images.shown;
const shownSet = new Set(shown);

function imageData(image) {
  if (!cache.has(image)) cache.set(image, JSON.parse($(`image-${image}`).textContent));
  return cache.get(image);
}

function loadPicture(url) {
  return new Promise((resolve, reject) => {
    const picture = new Image();
    picture.onload = () => resolve(picture);
    picture.onerror = () => reject(new Error("a picture in the page is damaged"));
    picture.src = url;
  });
}

function pixels(picture) {
  const canvas = make("canvas", { width: picture.width, height: picture.height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  return context.getImageData(0, 0, picture.width, picture.height);
}

async function idMap(url) {
  const { data: bytes } = pixels(await loadPicture(url));
  return Uint32Array.from({ length: bytes.length / 4 }, (_, i) => bytes[4 * i] | (bytes[4 * i + 1] << 8) | (bytes[4 * i + 2] << 16));
}

/** Show an image; `region` is the place of a region to pin, or -1. */
async function open(image, region = -1) {
  if (!shownSet.has(image)) return;
  view.image = image;
  const own = imageData(image);
  const [photo, ids, superpixels] = await Promise.all([
    loadPicture(own.photo), idMap(own.ids), own.superpixels ? idMap(own.superpixels) : null,
  ]);
  if (view.image !== image) return; // another one was asked for meanwhile
  Object.assign(view, { data: own, photo: pixels(photo), ids, superpixels, pinned: region });
  for (const canvas of [$("picture"), $("highlight")]) Object.assign(canvas, { width: photo.width, height: photo.height });
  $("layer-superpixels").disabled = !superpixels;
  const share = images.regions_covered[image];
  $("caption").textContent = `${images.id[image]} · ${images.width[image]} × ${images.height[image]} · ` +
    `${number.format(own.regions.id.length)} regions cover ${percent(share)}` + (images.split[image] ? ` · ${images.split[image]}` : "");
  paint();
  fillLegend();
  highlight((place) => place === region);
  for (const tile of document.querySelectorAll(".tile")) tile.classList.toggle("current", +tile.dataset.image === image);
  document.body.dataset.image = image;
}

const on = (layer) => $(`layer-${layer}`).checked;

/** The colour that fills a region: the first of labels, merged regions and masks that is switched on. */
function fills() {
  const { cluster, source } = view.data.regions;
  const own = (place) => data.palette[place % data.palette.length];
  return cluster.map((c, place) => {
    if (on("labels")) return colourOf(c);
    if (on("regions") || (on("masks") && source[place] !== "slic")) return own(place);
    return null;
  });
}

/** Whether a pixel's right or lower neighbour has another value. */
const border = (map, i, x, width) => (x + 1 < width && map[i] !== map[i + 1]) || (i + width < map.length && map[i] !== map[i + width]);

function paint() {
  if (!view.data) return;
  const { width, height } = view.photo;
  const out = new ImageData(new Uint8ClampedArray(view.photo.data), width, height);
  const alpha = $("opacity").value / 100;
  const fill = fills();
  const { source, cluster } = view.data.regions;
  const lines = { regions: on("regions"), masks: on("masks"), superpixels: on("superpixels") && view.superpixels };
  const fromMask = (id) => (id && source[id - 1] !== "slic" ? id : 0);
  const group = (id) => (id ? cluster[id - 1] : -2);
  const set = (i, colour, a) => { for (let c = 0; c < 3; c++) out.data[4 * i + c] += a * (colour[c] - out.data[4 * i + c]); };
  for (let i = 0, y = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const id = view.ids[i];
      if (id && fill[id - 1]) set(i, fill[id - 1], alpha);
      const right = x + 1 < width ? view.ids[i + 1] : id;
      const below = y + 1 < height ? view.ids[i + width] : id;
      if (id !== right || id !== below) {
        if (on("labels") && (group(id) !== group(right) || group(id) !== group(below))) set(i, LINES.regions, 0.65);
        if (lines.regions) set(i, LINES.regions, 0.9);
        const mask = fromMask(id);
        if (lines.masks && (mask !== fromMask(right) || mask !== fromMask(below))) set(i, LINES.masks, 1);
      }
      if (lines.superpixels && border(view.superpixels, i, x, width)) set(i, LINES.superpixels, 1);
    }
  }
  $("picture").getContext("2d").putImageData(out, 0, 0);
}

/** Pale everything but the regions at the places that `wanted` takes; nothing if it takes none. */
function highlight(wanted) {
  const { width, height } = view.photo;
  const context = $("highlight").getContext("2d");
  context.clearRect(0, 0, width, height);
  const chosen = view.data.regions.id.map((_, place) => wanted(place));
  if (!chosen.includes(true)) return;
  const out = context.createImageData(width, height);
  const within = (i) => view.ids[i] > 0 && chosen[view.ids[i] - 1];
  for (let i = 0; i < view.ids.length; i++) {
    const inside = within(i);
    const x = i % width;
    const edge = inside && (x === 0 || x + 1 === width || !within(i - 1) || !within(i + 1) || !within(i - width) || !within(i + width));
    const value = edge ? 255 : 10;
    out.data.set([value, value, value, edge ? 255 : inside ? 0 : 130], 4 * i);
  }
  context.putImageData(out, 0, 0);
}
const unhighlight = () => view.data && highlight((place) => place === view.pinned);

/** The place among the image's regions of the one under the pointer, or -1. */
function regionAt(event) {
  if (!view.data) return -1;
  const box = $("highlight").getBoundingClientRect();
  const { width, height } = view.photo;
  const scale = Math.min(box.width / width, box.height / height); // object-fit: contain
  const x = Math.floor((event.clientX - box.left - (box.width - width * scale) / 2) / scale);
  const y = Math.floor((event.clientY - box.top - (box.height - height * scale) / 2) / scale);
  return x < 0 || y < 0 || x >= width || y >= height ? -1 : view.ids[y * width + x] - 1;
}

function describe(place) {
  const r = view.data.regions;
  const pixelsOfImage = images.width[view.image] * images.height[view.image];
  return [
    `region ${r.id[place]} · ${r.source[place] === "slic" ? "superpixel" : "mask"} (${r.source[place]})`,
    `${nameOf(r.cluster[place])}` + (r.distance[place] === null ? "" : `, distance ${r.distance[place]}`),
    `area ${number.format(r.area[place])} px (${percent(r.area[place] / pixelsOfImage)})`,
    r.iou[place] !== null && `predicted IoU ${r.iou[place]}`,
    r.stability[place] !== null && `stability ${r.stability[place]}`,
  ];
}

$("highlight").addEventListener("mousemove", (event) => {
  const place = regionAt(event);
  if (place < 0) return void (hideTip(), unhighlight());
  highlight((p) => p === place);
  showTip(event, ...describe(place));
});
$("highlight").addEventListener("mouseleave", () => (hideTip(), unhighlight()));
$("highlight").addEventListener("click", (event) => {
  const place = regionAt(event);
  view.pinned = place === view.pinned ? -1 : place;
  unhighlight();
});

function fillLegend() {
  const { cluster } = view.data.regions;
  const counts = new Map();
  cluster.forEach((c) => counts.set(c, (counts.get(c) || 0) + 1));
  $("legend").replaceChildren(...[...counts].sort((a, b) => b[1] - a[1]).map(([c, count]) => make("button", {
    class: "entry",
    title: "Show the gallery of this cluster",
    onmouseenter: () => highlight((place) => cluster[place] === c),
    onmouseleave: unhighlight,
    onclick: () => $(`cluster-${c}`)?.scrollIntoView(),
  }, swatch(c), nameOf(c), make("span", {}, number.format(count)))));
}

for (const layer of ["labels", "regions", "masks", "superpixels"]) $(`layer-${layer}`).addEventListener("change", paint);
$("opacity").addEventListener("input", paint);

function step(by) {
  const list = found.filter((image) => shownSet.has(image));
  const at = list.indexOf(view.image);
  if (list.length) open(list[(Math.max(at, by < 0 ? 0 : -1) + by + list.length) % list.length]);
}
$("previous").addEventListener("click", () => step(-1));
$("next").addEventListener("click", () => step(1));
addEventListener("keydown", (event) => {
  if (event.target.matches("input:not([type=checkbox]), select") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
  const layer = { 1: "labels", 2: "regions", 3: "masks", 4: "superpixels" }[event.key];
  if (layer && !$(`layer-${layer}`).disabled) $(`layer-${layer}`).click();
});

// ---------------------------------------------------------------- tiles, search, pages
let found = [];
let page = 0;
const everyImage = images.id.map((_, image) => image);

function search() {
  const word = $("search").value.trim().toLowerCase();
  const split = $("split").value;
  const from = $("scope").value === "shown" && !word ? shown : everyImage;
  found = from.filter((image) => (!word || images.id[image].toLowerCase().includes(word)) && (split === "*" || images.split[image] === split));
  page = 0;
  tiles();
}

const overlay = (image) => "overlays/" + images.id[image].split("/").map(encodeURIComponent).join("/") + ".jpg";

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

function fillFilters() {
  const all = shown.length === images.id.length;
  $("scope").append(make("option", { value: "shown" }, `on this page (${number.format(shown.length)})`));
  $("scope").append(make("option", { value: "all" }, `all images (${number.format(images.id.length)})`));
  $("scope").hidden = all;
  const splits = [...new Set(images.split)].sort();
  $("split").append(make("option", { value: "*" }, "all splits"), ...splits.map((s) => make("option", { value: s }, s || "(no split)")));
  $("split").hidden = splits.length < 2;
}

// ---------------------------------------------------------------- clusters
function openRegion(image, id) {
  if (!shownSet.has(image)) return void window.open(overlay(image), "_blank");
  open(image, imageData(image).regions.id.indexOf(id));
  $("images").scrollIntoView();
}

function fillClusters() {
  const most = Math.max(1, ...clusters.map((c) => c.size));
  const order = clusters.map((_, c) => c).sort((a, b) => clusters[b].size - clusters[a].size);
  $("bars").append(...order.map((c) => make("button", { class: "row", onclick: () => $(`cluster-${c}`).scrollIntoView() },
    make("span", {}, nameOf(c)),
    make("span", { class: "track" }, make("i", { style: `width:${(100 * clusters[c].size) / most}%;background:${css(colourOf(c))}` })),
    make("span", {}, number.format(clusters[c].size)))));
  $("galleries").append(...order.map((c) => make("div", { class: "gallery", id: `cluster-${c}` },
    make("h3", {}, swatch(c), nameOf(c), make("span", {}, `${number.format(clusters[c].size)} regions`)),
    make("div", { class: "crops" }, ...clusters[c].crops.map((crop) => make("button", {
      class: crop.far ? "crop far" : "crop",
      onclick: () => (hideTip(), openRegion(crop.image, crop.region)),
      onmousemove: (event) => showTip(event, `region ${crop.region}`, images.id[crop.image], `area ${number.format(crop.area)} px`, `distance ${crop.distance.toPrecision(3)}`),
      onmouseleave: hideTip,
    }, make("img", { src: crop.src, alt: `region ${crop.region} of ${images.id[crop.image]}`, loading: "lazy" })))))));
}

// ---------------------------------------------------------------- feature map
const points = data.map;
let emphasised = null;

function place(i) {
  const canvas = $("scatter");
  return [16 + points.x[i] * (canvas.clientWidth - 32), 16 + (1 - points.y[i]) * (canvas.clientHeight - 32)];
}

function drawMap(hovered = -1) {
  const canvas = $("scatter");
  const ratio = devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * ratio;
  canvas.height = canvas.clientHeight * ratio;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const dot = (i, radius, alpha) => {
    context.globalAlpha = alpha;
    context.fillStyle = css(colourOf(points.cluster[i]));
    context.beginPath();
    context.arc(...place(i), radius, 0, 7);
    context.fill();
  };
  const radius = points.x.length > 800 ? 3 : 4.5;
  points.x.forEach((_, i) => dot(i, radius, emphasised === null || points.cluster[i] === emphasised ? 0.85 : 0.08));
  if (hovered >= 0) {
    dot(hovered, radius + 4, 1);
    context.lineWidth = 2;
    context.strokeStyle = getComputedStyle(document.body).color;
    context.stroke();
  }
}

function nearest(event) {
  const box = $("scatter").getBoundingClientRect();
  const [x, y] = [event.clientX - box.left, event.clientY - box.top];
  let best = -1, least = 100;
  for (let i = 0; i < points.x.length; i++) {
    const [px, py] = place(i);
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance < least) [best, least] = [i, distance];
  }
  return best;
}

function fillMap() {
  document.querySelector("#map .note").textContent = `t-SNE of ${number.format(points.x.length)} of ${number.format(data.summary.regions)} regions, coloured by cluster: ` +
    "near points have like features; distances between far groups mean little. Click a point to see the region.";
  $("scatter").addEventListener("mousemove", (event) => {
    const i = nearest(event);
    drawMap(i);
    if (i < 0) return void hideTip();
    showTip(event, `region ${points.region[i]}`, images.id[points.image[i]], nameOf(points.cluster[i]), `area ${number.format(points.area[i])} px`);
  });
  $("scatter").addEventListener("mouseleave", () => (hideTip(), drawMap()));
  $("scatter").addEventListener("click", (event) => {
    const i = nearest(event);
    if (i >= 0) openRegion(points.image[i], points.region[i]);
  });
  $("map-legend").append(...clusters.map((cluster, c) => make("button", {
    class: "entry",
    onmouseenter: () => ((emphasised = c), drawMap()),
    onmouseleave: () => ((emphasised = null), drawMap()),
  }, swatch(c), nameOf(c), make("span", {}, number.format(cluster.size)))));
  addEventListener("resize", () => drawMap());
  drawMap();
}

// ---------------------------------------------------------------- tables
function table(columns, rows) {
  const cell = (value) => make("td", typeof value === "number" ? { class: "number" } : {}, typeof value === "number" ? String(value) : value);
  return make("div", { class: "sheet" }, make("table", {},
    make("thead", {}, make("tr", {}, ...columns.map((c, i) => make("th", typeof rows[0]?.[i] === "number" ? { class: "number" } : {}, c)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell))))));
}

/** [path, text] of every value in nested options. */
function* leaves(options, path = []) {
  for (const [key, value] of Object.entries(options)) {
    if (value !== null && typeof value === "object" && !Array.isArray(value)) yield* leaves(value, [...path, key]);
    else yield [[...path, key].join("."), JSON.stringify(value)];
  }
}

function fillSummary() {
  const s = data.summary;
  const card = (value, text, bad) => make("div", { class: bad ? "card bad" : "card" }, make("b", {}, value), make("span", {}, text));
  const splits = Object.entries(s.splits).filter(([name]) => name).map(([name, count]) => `${name} ${number.format(count)}`).join(", ");
  $("summary").append(
    card(number.format(s.images), splits ? `images (${splits})` : "images"),
    card(number.format(s.regions), `regions, ${(s.regions / Math.max(1, s.images - s.unreadable)).toFixed(0)} per image`),
    card(percent(s.masks_covered), "of all pixels in masks"),
    card(percent(s.regions_covered), "of all pixels in regions"),
    card(number.format(clusters.length), s.empty ? `clusters, ${s.empty} of them empty` : "clusters, none empty", s.empty),
    ...(s.silhouette === null ? [] : [card(s.silhouette.toFixed(2), "silhouette (−1 to 1, on a sample)")]),
    card(number.format(s.unreadable), s.unreadable === 1 ? "image could not be read" : "images could not be read", s.unreadable),
  );
}

function fillTables() {
  const problems = data.problems.map((p) => [p.image, p.path, p.reason]);
  $("problem-list").append(problems.length ? table(["image", "file", "reason"], problems) : make("p", { class: "note" }, "None: every image could be read."));
  const code = (value) => make("code", {}, value);
  const run = $("run-tables");
  if (data.comparison.length) run.append(make("h3", {}, "Numbers of clusters compared"), table(Object.keys(data.comparison[0]), data.comparison.map((row) => Object.values(row).map(Number))));
  const left = make("div", {}, make("h3", {}, "Time per stage, in seconds"),
    data.timings.length ? table(["stage", "jobs", "total", "mean", "longest"], data.timings.map((t) => [t.stage, t.jobs, t.total, t.mean, t.max])) : make("p", { class: "note" }, "No logs with times were found."));
  const right = make("div", {}, make("h3", {}, "Versions"), table(["library", "version"], Object.entries(data.versions)));
  run.append(make("div", { class: "columns" }, left, right), make("h3", {}, "Parameters, as the files tell them"), table(["stage", "option", "value"], data.parameters.flatMap(([stage, options]) => [...leaves(options)].map(([key, value]) => [stage, key, code(value)]))));
}

// ---------------------------------------------------------------- start
fillSummary();
fillFilters();
search();
fillClusters();
fillTables();
fillMap();
(shown.length ? open(shown[0]) : Promise.resolve()).then(() => {
  document.body.dataset.ready = Math.round(performance.now());
});
