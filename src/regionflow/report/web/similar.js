// Regions like the picked one: among those whose features the page holds, as one byte per component.
let features = null;

function loadFeatures() {
  if (!features) {
    const stored = JSON.parse($("features").textContent);
    features = { ...stored, values: new Int8Array(bytesOf(stored.values).buffer) };
  }
  return features;
}

/** Regions that differ by less than this share of their length show the same thing, mostly one inside the other. */
const SAME = 0.15;

/** Rows of the features nearest to row `at`, nearest first, without itself and without near duplicates of one another. */
function nearestRows(at, count) {
  const { values, components: n, image } = loadFeatures();
  const apart = (one, other) => {
    let sum = 0;
    for (let c = 0; c < n; c++) sum += (values[one * n + c] - values[other * n + c]) ** 2;
    return sum;
  };
  const distances = image.map((_, row) => [row, apart(row, at)]).sort((a, b) => a[1] - b[1]);
  const kept = [];
  for (const [row] of distances) {
    if (kept.length === count) break;
    let length = 0;
    for (let c = 0; c < n; c++) length += values[row * n + c] ** 2;
    if (row !== at && kept.every((other) => apart(row, other) >= SAME ** 2 * length)) kept.push(row);
  }
  return kept;
}

async function showSimilar() {
  const f = loadFeatures();
  const [image, region] = [view.image, view.data.regions.id[view.region]];
  const at = f.image.findIndex((i, row) => shown[i] === image && f.region[row] === region);
  const box = $("similar");
  $("similar-box").hidden = false;
  if (at < 0) return void box.replaceChildren("The features of this region are not on the page: it holds those of the largest regions (report.page_features).");
  $("similar-note").textContent = `Nearest to region ${region} of ${images.id[image]} among ${number.format(f.image.length)} regions of the images on this page, by ${f.components} components with ${percent(f.variance)} of the variance.`;
  box.replaceChildren();
  for (const row of nearestRows(at, 18)) {
    const [other, id] = [shown[f.image[row]], f.region[row]];
    const picture = await cutOut(other, id, 76);
    picture.setAttribute("role", "img");
    picture.setAttribute("aria-label", `region ${id} of ${images.id[other]}`);
    box.append(make("button", { class: "crop", title: `region ${id} of ${images.id[other]}`, onclick: () => openRegion(other, id) }, picture));
  }
}
$("find-similar").addEventListener("click", showSimilar);
$("close-similar").addEventListener("click", () => ($("similar-box").hidden = true));
