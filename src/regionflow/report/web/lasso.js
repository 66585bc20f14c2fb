// What pointer and keys do on the map.
/** Whether a point lies in a closed line. */
function insideLine(x, y, corners) {
  let inside = false;
  corners.forEach(([ax, ay], i) => {
    const [bx, by] = corners[(i + 1) % corners.length];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) inside = !inside;
  });
  return inside;
}

const scatter = $("scatter");
const lassoOn = () => $("lasso").getAttribute("aria-pressed") === "true";
let held = null;
$("lasso").addEventListener("click", () => $("lasso").setAttribute("aria-pressed", String(!lassoOn())));

scatter.addEventListener("pointerdown", (event) => {
  const [x, y] = mapPixel(event);
  held = { x, y, moved: false };
  if (lassoOn()) chart.lasso = [[x, y]];
  scatter.setPointerCapture(event.pointerId);
});
scatter.addEventListener("pointermove", (event) => {
  const [x, y] = mapPixel(event);
  if (held) {
    held.moved = held.moved || Math.hypot(x - held.x, y - held.y) > 4;
    if (chart.lasso) chart.lasso.push([x, y]);
    else if (held.moved && chart.scale > 1) {
      chart.x += x - held.x;
      chart.y += y - held.y;
      Object.assign(held, { x, y });
    }
    return drawMap();
  }
  chart.hovered = nearest(x, y);
  drawMap();
  if (chart.hovered < 0) hideTip();
  else showTip(event, ...describePoint(chart.hovered));
});
scatter.addEventListener("pointerup", (event) => {
  const { moved } = held || {};
  const line = chart.lasso;
  held = chart.lasso = null;
  if (line && moved) return selectPoints((i) => insideLine(...where(i), line));
  const i = nearest(...mapPixel(event));
  if (!moved && i >= 0) openRegion(points.image[i], points.region[i]);
  drawMap();
});
scatter.addEventListener("pointerleave", () => {
  hideTip();
  if (held) return;
  chart.hovered = -1;
  drawMap();
});
scatter.addEventListener("wheel", (event) => {
  if (!event.ctrlKey) return;
  zoomMap(Math.exp(-event.deltaY / 200), ...mapPixel(event));
  event.preventDefault();
}, { passive: false });

/** Arrow keys go to the nearest point in their direction. */
function stepOnMap(dx, dy) {
  if (chart.hovered < 0) return void (chart.hovered = points.x.length ? 0 : -1);
  const [x, y] = where(chart.hovered);
  let best = -1, least = Infinity;
  points.x.forEach((_, i) => {
    const [px, py] = where(i);
    const along = (px - x) * dx + (py - y) * dy, across = Math.abs((px - x) * dy) + Math.abs((py - y) * dx);
    if (i !== chart.hovered && along > 0.5 && along + 3 * across < least) [best, least] = [i, along + 3 * across];
  });
  if (best >= 0) chart.hovered = best;
}
scatter.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
  const at = chart.hovered;
  if (way) stepOnMap(...way), say(chart.hovered < 0 ? "no points" : describePoint(chart.hovered).join(", "));
  else if (event.key === "+" || event.key === "-") zoomMap(event.key === "+" ? 1.5 : 1 / 1.5);
  else if (event.key === "0") zoomMap(0);
  else if (event.key === "Enter" && at >= 0) openRegion(points.image[at], points.region[at])?.then(() => $("highlight").focus({ preventScroll: true }));
  else if (event.key === "s" && at >= 0) selectPoints((i) => i === at);
  else return;
  drawMap();
  event.preventDefault();
  event.stopPropagation();
});
