// An image's data, unpacked when it is looked at. Its regions are columns; `stacks` holds for every atom (a set of pixels
// that lie in the same regions) the places of those regions, the smallest first; `ids` is the map of atoms, 0 for none.
const cache = new Map();
const unpacked = new Map();
const KEPT = 12;

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

const bytesOf = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));

async function inflate(base64) {
  const stream = new Blob([bytesOf(base64)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

/** All of an image; the last few that were looked at are kept. */
function unpack(image) {
  if (!unpacked.has(image)) {
    unpacked.set(image, unpackNow(image));
    if (unpacked.size > KEPT) unpacked.delete(unpacked.keys().next().value);
  }
  return unpacked.get(image);
}

async function unpackNow(image) {
  const own = imageData(image);
  const [photo, ids, superpixels, regions] = await Promise.all([
    loadPicture(own.photo), idMap(own.atoms), own.superpixels ? idMap(own.superpixels) : null, inflate(own.regions),
  ]);
  return { picture: photo, photo: pixels(photo), ids, superpixels, regions, width: photo.width, height: photo.height };
}

/** Which atoms lie in a region: [0 or 1] by id. */
function atomsOf(regions, place) {
  return Uint8Array.from([0, ...regions.stacks.map((stack) => +stack.includes(place))]);
}

/** A region cut out of its photo with a little around it, which is paled, as a canvas. */
async function cutOut(image, region, side = 96) {
  const own = await unpack(image);
  const inside = atomsOf(own.regions, own.regions.id.indexOf(region));
  let [left, top, right, bottom] = [own.width, own.height, -1, -1];
  own.ids.forEach((id, i) => {
    if (!inside[id]) return;
    const x = i % own.width, y = (i - x) / own.width;
    [left, top, right, bottom] = [Math.min(left, x), Math.min(top, y), Math.max(right, x), Math.max(bottom, y)];
  });
  const grow = 3 + Math.round(0.15 * Math.max(right - left, bottom - top));
  [left, top] = [Math.max(0, left - grow), Math.max(0, top - grow)];
  [right, bottom] = [Math.min(own.width - 1, right + grow), Math.min(own.height - 1, bottom + grow)];
  const [w, h] = [right - left + 1, bottom - top + 1];
  const part = new ImageData(w, h);
  for (let i = 0; i < w * h; i++) {
    const at = (top + Math.floor(i / w)) * own.width + left + (i % w);
    const pale = inside[own.ids[at]] ? 0 : 0.7;
    for (let c = 0; c < 3; c++) part.data[4 * i + c] = own.photo.data[4 * at + c] * (1 - pale) + 255 * pale;
    part.data[4 * i + 3] = 255;
  }
  const small = make("canvas", { width: w, height: h });
  small.getContext("2d").putImageData(part, 0, 0);
  const scale = side / Math.max(w, h);
  const canvas = make("canvas", { width: Math.max(1, Math.round(w * scale)), height: Math.max(1, Math.round(h * scale)) });
  canvas.getContext("2d").drawImage(small, 0, 0, canvas.width, canvas.height);
  return canvas;
}
