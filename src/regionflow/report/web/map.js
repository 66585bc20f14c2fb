// The map of region features.
const points = data.map;
const names = points.x.map((_, i) => regionName(points.image[i], points.region[i]));
const chart = { x: 0, y: 0, scale: 1, emphasised: null, hovered: -1, lasso: null };

function where(i) {
  const canvas = $("scatter");
  const [w, h] = [canvas.clientWidth, canvas.clientHeight];
  const [x, y] = [16 + points.x[i] * (w - 32), 16 + (1 - points.y[i]) * (h - 32)];
  return [chart.x + x * chart.scale, chart.y + y * chart.scale];
}

function drawMap() {
  const canvas = $("scatter");
  if (!canvas.clientWidth) return;
  const ratio = devicePixelRatio || 1;
  canvas.width = canvas.clientWidth * ratio;
  canvas.height = canvas.clientHeight * ratio;
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  const ink = getComputedStyle(document.body).color;
  const dot = (i, radius, alpha) => {
    context.globalAlpha = alpha;
    context.fillStyle = css(colourOf(points.cluster[i]));
    context.beginPath();
    context.arc(...where(i), radius, 0, 7);
    context.fill();
  };
  const ring = () => (Object.assign(context, { lineWidth: 2, strokeStyle: ink, globalAlpha: 1 }), context.stroke());
  const radius = (points.x.length > 800 ? 3 : 4.5) * Math.sqrt(chart.scale);
  points.x.forEach((_, i) => {
    dot(i, radius, chart.emphasised === null || points.cluster[i] === chart.emphasised ? 0.85 : 0.08);
    if (selected.has(names[i])) ring();
  });
  if (chart.hovered >= 0) dot(chart.hovered, radius + 4, 1), ring();
  if (chart.lasso) {
    Object.assign(context, { strokeStyle: ink, lineWidth: 1.5, globalAlpha: 1 });
    context.beginPath();
    chart.lasso.forEach(([x, y]) => context.lineTo(x, y));
    context.stroke();
  }
}

const mapPixel = (event) => {
  const box = $("scatter").getBoundingClientRect();
  return [event.clientX - box.left, event.clientY - box.top];
};

function nearest(x, y) {
  let best = -1, least = 100;
  for (let i = 0; i < points.x.length; i++) {
    const [px, py] = where(i);
    const distance = (px - x) ** 2 + (py - y) ** 2;
    if (distance < least) [best, least] = [i, distance];
  }
  return best;
}

const describePoint = (i) => [`region ${points.region[i]}`, images.id[points.image[i]], nameOf(points.cluster[i]), `area ${number.format(points.area[i])} px`];

function zoomMap(factor, x = $("scatter").clientWidth / 2, y = $("scatter").clientHeight / 2) {
  const next = Math.min(40, Math.max(1, chart.scale * factor));
  chart.x = x - ((x - chart.x) * next) / chart.scale;
  chart.y = y - ((y - chart.y) * next) / chart.scale;
  if (next === 1) chart.x = chart.y = 0;
  chart.scale = next;
  drawMap();
}

function fillMap() {
  document.querySelector("#map .note").textContent = `t-SNE of ${number.format(points.x.length)} of ${number.format(data.summary.regions)} regions, coloured by cluster: ` +
    "near points have like features; distances between far groups mean little. Click a point to see the region; drag moves the map, with Lasso it selects.";
  $("map-legend").append(...clusters.map((cluster, c) => make("button", {
    class: "entry", title: "Click: select its points",
    onmouseenter: () => ((chart.emphasised = c), drawMap()), onfocus: () => ((chart.emphasised = c), drawMap()),
    onmouseleave: () => ((chart.emphasised = null), drawMap()), onblur: () => ((chart.emphasised = null), drawMap()),
    onclick: () => selectPoints((i) => points.cluster[i] === c),
  }, swatch(colourOf(c)), nameOf(c), make("span", {}, number.format(cluster.size)))));
  addEventListener("resize", drawMap);
  drawMap();
}

/** Select the points that `wanted` takes, or take them out if all of them are selected. */
function selectPoints(wanted) {
  const chosen = names.filter((_, i) => wanted(i));
  changeSelection(chosen, chosen.length > 0 && chosen.every((name) => selected.has(name)));
  say($("selected").textContent);
}
$("map-in").addEventListener("click", () => zoomMap(1.5));
$("map-out").addEventListener("click", () => zoomMap(1 / 1.5));
$("map-all").addEventListener("click", () => zoomMap(0));
