// What the page holds, and what of it is looked at.
const data = JSON.parse($("data").textContent);
const { images, clusters, labelers } = data;
const shown = images.shown;
const shownSet = new Set(shown);
const placeOfImage = new Map(images.id.map((id, i) => [id, i]));
const NONE = [140, 140, 140];
const LINES = { regions: [255, 255, 255], masks: [86, 180, 233], superpixels: [240, 228, 66] };
/** region: place of the picked region among the image's, hovered: the one under the pointer; -1 for none. */
const view = { image: -1, data: null, ids: null, photo: null, region: -1, hovered: -1, stack: [], depth: 0, cursor: null };

const colourOf = (cluster) => (cluster < 0 ? NONE : clusters[cluster].colour);
const swatch = (colour) => make("i", { class: "swatch", style: `background:${css(colour)}` });
const nameOf = (cluster) => (cluster < 0 ? "no cluster" : `cluster ${cluster}`);
const layer = (name) => $(`layer-${name}`).checked && !$(`layer-${name}`).disabled;
const overlay = (image) => "overlays/" + images.id[image].split("/").map(encodeURIComponent).join("/") + ".jpg";
const regionName = (image, region) => `${images.id[image]}_region_${region}`;

// ---------------------------------------------------------------- class names
const labeler = () => labelers[$("labeler").value || 0];
/** Value of a region's class in the labeler that is looked at: 0 for none. */
const classValue = (place) => (labeler() ? view.data.regions.classes[labeler().name].value[place] : 0);
const classScore = (place) => (labeler() ? view.data.regions.classes[labeler().name].score[place] : null);
const className = (place) => (classValue(place) ? labeler().classes[classValue(place) - 1] : "");
const classColour = (value) => (value ? labeler().colours[value - 1] : NONE);

/** The colour of a class by its name: that of the labeler, or for a new class one of its own. */
function colourOfName(name) {
  const known = labeler() ? labeler().classes.indexOf(name) : -1;
  if (known >= 0) return labeler().colours[known];
  const fresh = [...new Set([...examples.values()].map((e) => e.name))].filter((n) => !labeler()?.classes.includes(n));
  return data.palette[((labeler()?.classes.length || 0) + fresh.indexOf(name) + data.palette.length) % data.palette.length];
}

// ---------------------------------------------------------------- the address: #image=ID&region=NUMBER
function writeAddress() {
  const region = view.region >= 0 ? `&region=${view.data.regions.id[view.region]}` : "";
  history.replaceState(null, "", `#image=${encodeURIComponent(images.id[view.image])}${region}`);
}

/** Image and region that the address names, or null. */
function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  if (!asked.has("image")) return null;
  return { image: placeOfImage.get(asked.get("image")) ?? -1, region: asked.has("region") ? +asked.get("region") : -1 };
}
