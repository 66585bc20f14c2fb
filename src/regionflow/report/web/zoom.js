// Zoom and pan: both canvases are moved together; where the pointer is follows from their place on the screen.
const zoom = { scale: 1, x: 0, y: 0 };

/** Zoom by keeping the point (x, y) of the frame, in pixels from its corner, where it is; the middle if none is given. */
function zoomTo(scale, x = $("frame").clientWidth / 2, y = $("frame").clientHeight / 2) {
  const next = Math.min(16, Math.max(1, scale));
  zoom.x = x - ((x - zoom.x) * next) / zoom.scale;
  zoom.y = y - ((y - zoom.y) * next) / zoom.scale;
  zoom.scale = next;
  place();
}

function pan(dx, dy) {
  zoom.x += dx;
  zoom.y += dy;
  place();
}

function place() {
  const { clientWidth: width, clientHeight: height } = $("frame");
  zoom.x = Math.min(0, Math.max(width * (1 - zoom.scale), zoom.x));
  zoom.y = Math.min(0, Math.max(height * (1 - zoom.scale), zoom.y));
  $("layers").style.transform = `translate(${zoom.x}px, ${zoom.y}px) scale(${zoom.scale})`;
  $("zoom-level").textContent = `${Math.round(100 * zoom.scale)} %`;
}

$("zoom-in").addEventListener("click", () => zoomTo(zoom.scale * 1.5));
$("zoom-out").addEventListener("click", () => zoomTo(zoom.scale / 1.5));
$("zoom-all").addEventListener("click", () => zoomTo(1));

let drag = null;
$("highlight").addEventListener("pointerdown", (event) => {
  drag = { x: event.clientX, y: event.clientY, moved: false };
});
addEventListener("pointermove", (event) => {
  if (!drag || zoom.scale === 1) return;
  const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
  if (!drag.moved && Math.hypot(dx, dy) < 5) return;
  Object.assign(drag, { x: event.clientX, y: event.clientY, moved: true });
  pan(dx, dy);
});
// The click that ends a drag picks nothing; it comes right after this.
let dragged = false;
addEventListener("pointerup", () => {
  dragged = Boolean(drag && drag.moved);
  drag = null;
});
