// Histograms, as drawings that grow with their place.
function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS($("drawing").namespaceURI, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** A histogram {edges, counts} with some edges written below. */
function histogram(title, { edges, counts }, text) {
  const [W, H] = [300, 130];
  const most = Math.max(1, ...counts);
  const w = W / counts.length;
  const bars = counts.map((count, i) => {
    const height = (count / most) * (H - 4);
    const bar = svg("rect", { x: i * w + 0.5, y: H - height, width: Math.max(0.5, w - 1), height, fill: "var(--accent)" });
    bar.append(svg("title", {}, `${text(edges[i])} to ${text(edges[i + 1])}: ${number.format(count)}`));
    return bar;
  });
  const ticks = [0, 0.5, 1].map((at) => {
    const i = Math.round(at * counts.length);
    return svg("text", { x: i * w, y: H + 16, "text-anchor": ["start", "middle", "end"][2 * at], class: "tick" }, text(edges[i]));
  });
  const sum = counts.reduce((a, b) => a + b, 0);
  const label = `${title}: ${number.format(sum)} values, most (${number.format(most)}) from ${text(edges[counts.indexOf(most)] ?? 0)} to ${text(edges[counts.indexOf(most) + 1] ?? 0)}`;
  return make("figure", {}, make("figcaption", {}, title),
    svg("svg", { viewBox: `0 0 ${W} ${H + 22}`, role: "img", "aria-label": label }, svg("line", { x1: 0, x2: W, y1: H, y2: H, class: "axis" }), ...bars, ...ticks));
}

function fillFigures() {
  const h = data.histograms;
  const share = (log) => (100 * 10 ** log).toPrecision(1).replace(/^1e\+2$/, "100") + " %";
  const figures = [histogram("Area of regions, share of the image", h.area, share), histogram("Regions per image", h.regions, (v) => String(Math.round(v)))];
  if (h.score.counts.some((count) => count)) figures.splice(1, 0, histogram("Predicted IoU, images on this page", h.score, (v) => v.toFixed(2)));
  $("figures").append(...figures);
}
