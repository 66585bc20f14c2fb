// The page about part-whole hierarchies.
const data = JSON.parse($("data").textContent);
const loaded = data.images.map(() => null);
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const score = (value) => (value === null || value === undefined ? "–" : value.toFixed(2));

/** Islands of an image; colours are RGB bytes, level after level. */
function islands(i) {
  if (!loaded[i]) {
    const piece = JSON.parse($(`islands-${i}`).textContent);
    loaded[i] = { ...piece, teacher: bytes(piece.teacher), iterations: piece.iterations.map(bytes) };
  }
  return loaded[i];
}

/** Colours of one level on a canvas, a pixel for each column. */
function paint(canvas, colours, level) {
  const patches = colours.length / 3 / data.levels.length, side = Math.round(Math.sqrt(patches));
  canvas.width = canvas.height = side;
  const pixels = new ImageData(side, side);
  for (let p = 0; p < patches; p++) {
    pixels.data.set(colours.subarray(3 * (level * patches + p), 3 * (level * patches + p) + 3), 4 * p);
    pixels.data[4 * p + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

function draw() {
  const image = +$("image").value, level = +$("level").value, iteration = +$("iteration").value;
  const shown = islands(image), name = data.images[image], fit = score(shown.agreement[iteration][level]);
  $("level-name").textContent = data.levels[level];
  $("iteration-name").textContent = `${iteration + 1} of ${shown.iterations.length}`;
  for (const id of ["level", "iteration"]) $(id).setAttribute("aria-valuetext", $(`${id}-name`).textContent);
  if ($("photo").getAttribute("src") !== shown.photo) $("photo").src = shown.photo;
  $("photo").alt = name;
  $("borders").src = shown.borders[level];
  $("borders").hidden = !$("outlines").checked;
  paint($("teacher"), shown.teacher, level);
  paint($("student"), shown.iterations[iteration], level);
  $("teacher").setAttribute("aria-label", `${name}: the teacher at level ${data.levels[level]}`);
  $("student").setAttribute("aria-label", `${name}: the student at level ${data.levels[level]} after iteration ${iteration + 1}, agreement ${fit}`);
  $("student-caption").textContent = `Student after iteration ${iteration + 1}: agreement ${fit}`;
  for (const button of $("strip").querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.dataset.at === `${level} ${iteration}`));
  history.replaceState(null, "", `#image=${encodeURIComponent(name)}&level=${level}&iteration=${iteration + 1}`);
}

/** Every level and iteration of the image, small: from the whole down, from the first iteration on. */
function strip() {
  const shown = islands(+$("image").value);
  const tile = (colours, level) => {
    const canvas = make("canvas", { "aria-hidden": "true" });
    paint(canvas, colours, level);
    return canvas;
  };
  const row = (level) => make("tr", {}, make("th", { scope: "row" }, data.levels[level]), make("td", {}, tile(shown.teacher, level)),
    ...shown.iterations.map((colours, i) => make("td", {}, make("button", {
      class: "crop", "data-at": `${level} ${i}`, "aria-label": `${data.levels[level]}, iteration ${i + 1}, agreement ${score(shown.agreement[i][level])}`,
      onclick: () => (($("level").value = level), ($("iteration").value = i), draw()) }, tile(colours, level)), make("span", { class: "tick" }, score(shown.agreement[i][level])))));
  const head = ["level", "teacher", ...shown.iterations.map((_, i) => `iteration ${i + 1}`)];
  $("strip").replaceChildren(make("thead", {}, make("tr", {}, ...head.map((text) => make("th", { scope: "col" }, text)))),
    make("tbody", {}, ...data.levels.map((_, level) => row(data.levels.length - 1 - level))));
}

function open(image) {
  $("image").value = (image + data.images.length) % data.images.length;
  strip();
  draw();
}
function move(id, by) {
  $(id).value = +$(id).value + by;
  draw();
  say(`${id} ${$(`${id}-name`).textContent}`);
}

function start() {
  $("image").append(...data.images.map((id, i) => make("option", { value: i }, id)));
  const address = new URLSearchParams(location.hash.slice(1));
  const last = islands(0).iterations.length - 1;
  $("level").max = data.levels.length - 1;
  $("iteration").max = last;
  $("level").value = address.get("level") ?? data.levels.length - 1;
  $("iteration").value = (address.get("iteration") ?? last + 1) - 1;
  $("image").addEventListener("input", () => open(+$("image").value));
  for (const id of ["level", "iteration", "outlines"]) $(id).addEventListener("input", draw);
  const by = (step) => () => open(+$("image").value + step);
  $("back").addEventListener("click", by(-1));
  $("on").addEventListener("click", by(1));
  const KEYS = { ArrowLeft: by(-1), ArrowRight: by(1), p: by(-1), n: by(1), ArrowUp: () => move("level", 1), ArrowDown: () => move("level", -1), "]": () => move("iteration", 1), "[": () => move("iteration", -1), o: () => $("outlines").click() };
  addEventListener("keydown", (event) => {
    // Arrows in a slider, a list or a table that scrolls are theirs.
    if (event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(KEYS, event.key) || event.target.matches("select, input[type=range]")) return;
    if (event.key.startsWith("Arrow") && event.target.closest(".sheet")) return;
    event.preventDefault();
    KEYS[event.key]();
  });
  open(Math.max(0, data.images.indexOf(address.get("image"))));
}

function agreement() {
  $("rows-title").textContent = `${data.images.length} of ${number.format(data.of)} images`;
  $("summary").append(...data.levels.map((level, i) => make("div", { class: "card" }, make("b", {}, score(data.mean[i])), make("span", {}, `${level}, mean of ${number.format(data.of)} images`))));
  $("histograms").append(...data.histograms.map((one, i) => histogram(`${data.levels[i]}: agreement of an image`, one, (value) => value.toFixed(2))));
  $("rows").append(table(["image", ...data.levels], data.images.map((id, i) => [
    make("button", { class: "quiet link", onclick: () => (open(i), $("islands").scrollIntoView()) }, id), ...data.agreement[i].map(score)]), "Agreement by image"));
}

if (data.images.length) start();
agreement();
$("facts").append(...data.facts.map(([value, text]) => make("div", { class: "card" }, make("b", {}, value), make("span", {}, text))));
$("curves").append(...data.training.filter((panel) => panel.steps.length).map(curves));
document.body.dataset.ready = 1;
