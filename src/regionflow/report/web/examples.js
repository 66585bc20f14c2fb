// Labelled examples are made here: pick a region, name it, save the file, run again.
/** By image id and region (or point, for images that the page does not show): {image, x, y, region, name}. */
const examples = new Map();
const STORE = `regionflow examples ${data.title} ${images.id.length} ${images.id[0] ?? ""}`;
const keyOf = (e) => (e.region === null ? `${e.image}\t${e.x}\t${e.y}` : `${e.image}\t${e.region}`);
const exampleOf = (image, place) => (examples.size ? examples.get(`${images.id[image]}\t${unpackedRegions(image).id[place]}`) : undefined);
const unpackedRegions = (image) => (image === view.image ? view.data.regions : null);

/** The spelling in which a class is known already: names that differ in case alone are one class. */
function spelled(name) {
  const known = [...[...examples.values()].map((e) => e.name), ...labelers.flatMap((l) => l.classes)];
  return known.find((other) => other.toLowerCase() === name.toLowerCase()) ?? name;
}

function label(name) {
  const clean = spelled(name.trim().replace(/\s+/g, " "));
  if (view.region < 0 || !clean) return;
  const r = view.data.regions;
  const point = r.point[view.region];
  const example = { image: images.id[view.image], x: point ? point[0] : null, y: point ? point[1] : null, region: r.id[view.region], name: clean };
  examples.set(keyOf(example), example);
  changed(`region ${example.region} of ${example.image} is an example of ${clean}`);
}

function unlabel(key) {
  examples.delete(key);
  changed("example taken out");
}

function changed(text) {
  keep();
  fillExamples();
  refresh();
  say(text);
}

// Where the browser keeps nothing for pages from files, the examples live as long as the page: the page says so.
function keep() {
  try {
    localStorage.setItem(STORE, JSON.stringify([...examples.values()]));
    $("kept").textContent = "Kept in this browser until you save them.";
  } catch {
    $("kept").textContent = "This browser keeps nothing for this page: save the file before you close it.";
  }
}

function recall() {
  try {
    for (const e of JSON.parse(localStorage.getItem(STORE) || "[]")) examples.set(keyOf(e), e);
  } catch {
    examples.clear(); // nothing is kept, or not by this page
  }
}

/** Take up the examples of a table; points are looked up in the images that the page shows. */
async function takeUp(text) {
  const read = parseExamples(text);
  const unknown = read.filter((e) => !placeOfImage.has(e.image));
  if (unknown.length) throw new Error(`There is no image ${[...new Set(unknown.map((e) => e.image))].join(", ")} in this set.`);
  for (const e of read) {
    const image = placeOfImage.get(e.image);
    e.name = spelled(e.name);
    if (shownSet.has(image)) {
      const { regions, ids, width, height } = await unpack(image);
      if (e.region === null) {
        const [x, y] = [Math.floor((e.x * width) / images.width[image]), Math.floor((e.y * height) / images.height[image])];
        if (x < 0 || y < 0 || x >= width || y >= height) throw new Error(`(${e.x}, ${e.y}) is outside of ${e.image}.`);
        const atom = ids[y * width + x];
        if (atom) e.region = regions.id[regions.stacks[atom - 1][0]];
      } else {
        const point = regions.point[regions.id.indexOf(e.region)];
        if (point === undefined) throw new Error(`${e.image} has no region ${e.region}.`);
        if (point) [e.x, e.y] = point;
      }
    }
    examples.set(keyOf(e), e);
  }
  changed(`${read.length} examples taken up`);
}

function fillExamples() {
  const all = [...examples.entries()];
  const names = [...new Set([...labelers.flatMap((l) => l.classes), ...all.map(([, e]) => e.name)])];
  $("class-names").replaceChildren(...names.map((name) => make("option", { value: name })));
  const counts = new Map();
  for (const [, e] of all) counts.set(e.name, (counts.get(e.name) || 0) + 1);
  $("example-count").textContent = all.length ? `${all.length} in ${counts.size} class${counts.size === 1 ? "" : "es"}` : "none yet";
  $("example-list").replaceChildren(...all.reverse().map(([key, e]) => make("li", {},
    make("button", { class: "entry", disabled: !shownSet.has(placeOfImage.get(e.image)) && "", onclick: () => openRegion(placeOfImage.get(e.image), e.region ?? -1) },
      swatch(colourOfName(e.name)), e.name, make("span", {}, `${e.image} ${e.region === null ? `(${e.x}, ${e.y})` : e.region}`)),
    make("button", { class: "small", "aria-label": `Take out ${e.name}, ${e.image} ${e.region ?? ""}`, onclick: () => unlabel(key) }, "×"))));
  $("save-examples").disabled = $("clear-examples").disabled = !all.length;
}

const tried = (work) => async () => {
  try {
    await work();
    $("example-fault").textContent = "";
  } catch (error) {
    $("example-fault").textContent = error.message;
  }
};
$("label-form").addEventListener("submit", (event) => (event.preventDefault(), label($("class-name").value), $("highlight").focus({ preventScroll: true })));
$("unlabel").addEventListener("click", () => unlabel(`${images.id[view.image]}\t${view.data.regions.id[view.region]}`));
$("save-examples").addEventListener("click", tried(() => download("examples.tsv", exampleText())));
$("clear-examples").addEventListener("click", () => confirm(`Take out all ${examples.size} examples?`) && (examples.clear(), changed("all examples taken out")));
$("load-examples").addEventListener("change", tried(async () => {
  const [file] = $("load-examples").files;
  $("load-examples").value = "";
  if (file) await takeUp(await file.text());
}));
