// The page over all variants.
const data = JSON.parse($("data").textContent);
const address = (name) => name.split(" / ").map(encodeURIComponent).join("/") + "/report.html";
const overlays = data.variants.map(() => null);
const overlaysOf = (i) => (overlays[i] ??= JSON.parse($(`variant-${i}`).textContent).overlays);
const sides = [0, Math.min(1, data.variants.length - 1)];

const link = (v) => make("a", { href: address(v.name) }, v.name);
$("links").append(...Object.entries(data.links).map(([text, href]) => make("a", { href }, text)));
$("variants").append(table(["variant", "regions", "per image", "pixels in masks", "pixels in regions", "clusters", "silhouette", "seconds"],
  data.variants.map((v) => [link(v), v.regions, v.per_image, percent(v.masks_covered), percent(v.regions_covered), v.clusters, v.silhouette ?? "–", v.seconds]), "All variants"));

function side(at) {
  const select = make("select", { "aria-label": at ? "Right" : "Left", onchange: (event) => ((sides[at] = +event.target.value), draw()) },
    ...data.variants.map((v, i) => make("option", { value: i }, v.name)));
  const picture = make("img", { alt: "" });
  const text = make("p", { class: "note" });
  return { box: make("div", { class: "box" }, select, picture, text), select, picture, text };
}
const pair = [side(0), side(1)];
$("pair").append(...pair.map((s) => s.box));
$("image").append(...data.images.map((id, i) => make("option", { value: i }, id)));

function draw() {
  const image = +$("image").value;
  pair.forEach((s, at) => {
    const v = data.variants[sides[at]];
    s.select.value = sides[at];
    if (!data.images.length) return;
    s.picture.src = $("plain").checked ? data.photos[image] : overlaysOf(sides[at])[image];
    s.picture.alt = `${data.images[image]} by ${v.name}`;
    s.text.replaceChildren(make("a", { href: `${address(v.name)}#image=${encodeURIComponent(data.images[image])}` }, "Open in its page"));
  });
}
const step = (by) => (($("image").value = (+$("image").value + by + data.images.length) % data.images.length), draw());
$("back").addEventListener("click", () => step(-1));
$("on").addEventListener("click", () => step(1));
for (const id of ["image", "plain"]) $(id).addEventListener("input", draw);
addEventListener("keydown", (event) => {
  if (event.target.matches("select, input")) return;
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
draw();
document.body.dataset.ready = 1;
