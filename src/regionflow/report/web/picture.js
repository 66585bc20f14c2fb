// The picture of one image: layers over the photo, and a highlight over both.

/** Show an image; `region` is the number of a region to pick, or -1. */
async function open(image, region = -1) {
  if (!shownSet.has(image)) return;
  hideTip();
  view.image = image;
  const own = await unpack(image);
  if (view.image !== image) return; // another one was asked for meanwhile
  Object.assign(view, { data: own, photo: own.photo, ids: own.ids, stack: [], depth: 0, hovered: -1, cursor: null });
  view.region = own.regions.id.indexOf(region);
  for (const canvas of [$("picture"), $("highlight")]) Object.assign(canvas, { width: own.width, height: own.height });
  $("highlight").setAttribute("aria-label", `Photo ${images.id[image]}: arrows move, Enter picks, ] and [ go out and in`);
  $("layer-superpixels").disabled = !own.superpixels;
  const share = images.regions_covered[image];
  $("caption").textContent = `${images.id[image]} · ${images.width[image]} × ${images.height[image]} · ` +
    `${number.format(own.regions.id.length)} regions cover ${percent(share)}` + (images.split[image] ? ` · ${images.split[image]}` : "");
  zoomTo(1);
  fillFilters();
  refresh();
  for (const tile of document.querySelectorAll(".tile")) tile.classList.toggle("current", +tile.dataset.image === image);
  document.body.dataset.image = image;
  if (ready) writeAddress();
}

/** Draw all that depends on filters, layers and examples. */
function refresh() {
  if (!view.data) return;
  view.passing = view.data.regions.id.map((_, place) => passes(place));
  paint();
  fillLegend();
  fillList();
  fillTree();
  tellPicked();
  rehighlight();
}

/** What fills an atom: [colour, strength], or null. `top` is the smallest region there that is not filtered out. */
function filling(stack, top) {
  const { cluster, source } = view.data.regions;
  const labelled = layer("examples") ? stack.find((place) => exampleOf(view.image, place)) : undefined;
  if (labelled !== undefined) return [colourOfName(exampleOf(view.image, labelled).name), 1.35];
  if (top < 0) return null;
  if (layer("classes")) return [classColour(classValue(top)), $("confidence").checked ? 0.15 + 0.85 * classScore(top) : 1];
  if (layer("labels")) return [colourOf(cluster[top]), 1];
  if (layer("regions") || (layer("masks") && source[top] !== "slic")) return [data.palette[top % data.palette.length], 1];
  return null;
}

function paint() {
  const { width, height, data: photo } = view.photo;
  const out = new ImageData(new Uint8ClampedArray(photo), width, height);
  const { regions, superpixels } = view.data;
  const alpha = $("opacity").value / 100;
  const tops = [-1, ...regions.stacks.map((stack) => stack.find((place) => view.passing[place]) ?? -1)];
  const fill = [null, ...regions.stacks.map((stack, i) => filling(stack, tops[i + 1]))];
  const lines = { labels: layer("labels"), classes: layer("classes"), regions: layer("regions"), masks: layer("masks") };
  const fromMask = (top) => (top >= 0 && regions.source[top] !== "slic" ? top : -1);
  const group = (top) => (top < 0 ? -2 : lines.classes ? classValue(top) : regions.cluster[top]);
  const groups = tops.map(group);
  const set = (i, colour, a) => { for (let c = 0; c < 3; c++) out.data[4 * i + c] += a * (colour[c] - out.data[4 * i + c]); };
  for (let i = 0, y = 0; y < height; y++) {
    for (let x = 0; x < width; x++, i++) {
      const id = view.ids[i];
      if (fill[id]) set(i, fill[id][0], Math.min(1, alpha * fill[id][1]));
      const right = x + 1 < width ? view.ids[i + 1] : id;
      const below = y + 1 < height ? view.ids[i + width] : id;
      if (id !== right || id !== below) {
        if ((lines.labels || lines.classes) && (groups[id] !== groups[right] || groups[id] !== groups[below])) set(i, LINES.regions, 0.65);
        if (lines.regions && (tops[id] !== tops[right] || tops[id] !== tops[below])) set(i, LINES.regions, 0.9);
        const mask = fromMask(tops[id]);
        if (lines.masks && (mask !== fromMask(tops[right]) || mask !== fromMask(tops[below]))) set(i, LINES.masks, 1);
      }
      if (superpixels && superpixels[i] && layer("superpixels")) set(i, LINES.superpixels, 1);
    }
  }
  $("picture").getContext("2d").putImageData(out, 0, 0);
}

/** Pale everything but the atoms marked in `within` (by id), and draw their outline; null takes the highlight away. */
function highlight(within) {
  const { width, height } = view.photo;
  const context = $("highlight").getContext("2d");
  context.clearRect(0, 0, width, height);
  if (within) {
    const out = context.createImageData(width, height);
    const { ids } = view;
    for (let i = 0; i < ids.length; i++) {
      const inside = within[ids[i]];
      const x = i % width;
      const edge = inside && (x === 0 || x + 1 === width || !within[ids[i - 1]] || !within[ids[i + 1]] || !within[ids[i - width]] || !within[ids[i + width]]);
      const value = edge ? 255 : 10;
      out.data.set([value, value, value, edge ? 255 : inside ? 0 : 130], 4 * i);
    }
    context.putImageData(out, 0, 0);
  }
  drawCursor(context);
}

const highlightRegion = (place) => highlight(place < 0 ? null : atomsOf(view.data.regions, place));

/** Highlight all regions that `wanted` takes. */
function highlightAll(wanted) {
  const chosen = view.data.regions.id.map((_, place) => wanted(place));
  highlight(Uint8Array.from([0, ...view.data.regions.stacks.map((stack) => +stack.some((place) => chosen[place]))]));
}

/** Highlight what is under the pointer, or else what is picked. */
const rehighlight = () => view.data && highlightRegion(view.hovered >= 0 ? view.hovered : view.region);

/** Pick a region by its place, or none with -1. */
function pick(place) {
  view.region = place;
  view.hovered = -1;
  tellPicked();
  markPicked();
  rehighlight();
  writeAddress();
}

function describe(place) {
  const r = view.data.regions;
  const size = images.width[view.image] * images.height[view.image];
  const named = labeler() && view.data.regions.classes[labeler().name];
  const others = named ? named.second[place].map(([value, score]) => `${labeler().classes[value - 1] ?? "none"} ${score.toFixed(2)}`) : [];
  const example = exampleOf(view.image, place);
  return [
    `region ${r.id[place]} · ${r.source[place] === "slic" ? "superpixel" : "mask"} (${r.source[place]})`,
    example && `example of: ${example.name}`,
    named && `${className(place) || "no class"} ${named.score[place].toFixed(2)}` + (others.length ? ` (then ${others.join(", ")})` : ""),
    nameOf(r.cluster[place]) + (r.distance[place] === null ? "" : `, distance ${r.distance[place]}`),
    `area ${number.format(r.area[place])} px (${percent(r.area[place] / size)})`,
    r.iou[place] !== null && `predicted IoU ${r.iou[place]}`,
    r.stability[place] !== null && `stability ${r.stability[place]}`,
    r.parent[place] >= 0 && `lies in region ${r.id[r.parent[place]]}`,
  ].filter(Boolean);
}

function tellPicked() {
  const place = view.region;
  $("picked-facts").replaceChildren(...(place < 0
    ? ["Click a region, or choose one in the list."]
    : describe(place).map((line, i) => make(i ? "span" : "b", {}, line))));
  for (const control of document.querySelectorAll("#picked button, #picked input")) control.disabled = place < 0;
  $("add").textContent = place >= 0 && selected.has(regionName(view.image, view.data.regions.id[place])) ? "Take from the selection (s)" : "Add to the selection (s)";
  const example = place >= 0 && exampleOf(view.image, place);
  $("class-name").value = example ? example.name : "";
  $("unlabel").disabled = !example;
}

function fillLegend() {
  const { cluster } = view.data.regions;
  const byClass = layer("classes");
  const counts = new Map();
  cluster.forEach((c, place) => {
    const key = byClass ? classValue(place) : c;
    if (view.passing[place]) counts.set(key, (counts.get(key) || 0) + 1);
  });
  $("legend-title").textContent = byClass ? "Classes in this image" : "Clusters in this image";
  const control = byClass ? "filter-class" : "filter-cluster";
  $("legend").replaceChildren(...[...counts].sort((a, b) => b[1] - a[1]).map(([key, count]) => {
    const only = $(control).value === String(key);
    const show = () => highlightAll((place) => view.passing[place] && (byClass ? classValue(place) : cluster[place]) === key);
    return make("button", {
      class: "entry", title: only ? "Show all again" : "Show only these", "aria-pressed": String(only),
      onmouseenter: show, onfocus: show, onmouseleave: rehighlight, onblur: rehighlight,
      onclick: () => (($(control).value = only ? "*" : String(key)), refresh()),
    }, swatch(byClass ? classColour(key) : colourOf(key)), byClass ? (key ? labeler().classes[key - 1] : "no class") : nameOf(key), make("span", {}, number.format(count)));
  }));
}

for (const name of ["labels", "classes", "regions", "masks", "superpixels", "examples"]) $(`layer-${name}`).addEventListener("change", refresh);
for (const name of ["opacity", "confidence"]) $(name).addEventListener("input", refresh);
$("labeler").addEventListener("change", () => ($("filter-class").value = "*", fillFilters(), refresh(), fillClasses()));
