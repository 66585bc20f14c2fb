// What is under the pointer, or under the cross that the arrow keys move: a stack of regions, the smallest first.

/** The stack at a pixel of the picture, without what is filtered out. */
function stackAt(x, y) {
  const { width, height } = view.photo;
  if (x < 0 || y < 0 || x >= width || y >= height) return [];
  const id = view.ids[y * width + x];
  return id ? view.data.regions.stacks[id - 1].filter((place) => view.passing[place]) : [];
}

/** The pixel of the picture under the pointer. */
function pixelAt(event) {
  const box = $("highlight").getBoundingClientRect();
  const { width, height } = view.photo;
  const scale = Math.min(box.width / width, box.height / height); // object-fit: contain
  const x = Math.floor((event.clientX - box.left - (box.width - width * scale) / 2) / scale);
  const y = Math.floor((event.clientY - box.top - (box.height - height * scale) / 2) / scale);
  return [x, y];
}

/** Look at a pixel: its smallest region, or as deep in the stack as before if the stack is the same. */
function lookAt(x, y) {
  const stack = stackAt(x, y);
  if (stack.join() !== view.stack.join()) Object.assign(view, { stack, depth: 0 });
  view.hovered = stack.length ? stack[view.depth] : -1;
  rehighlight();
}

/** Go out (1) or in (-1) in the stack; whether there was somewhere to go. */
function goThrough(by) {
  const depth = view.depth + by;
  if (depth < 0 || depth >= view.stack.length) return false;
  view.depth = depth;
  view.hovered = view.stack[depth];
  rehighlight();
  say(describe(view.hovered).join(", "));
  return true;
}

function tipOf(event) {
  if (view.hovered < 0) return void hideTip();
  const more = view.stack.length > 1 ? `${view.depth + 1} of ${view.stack.length} here: wheel or ] [ go out and in` : "";
  showTip(event, ...describe(view.hovered), more);
}

const canvas = $("highlight");
canvas.addEventListener("mousemove", (event) => {
  if (!view.data || drag?.moved) return;
  view.cursor = null;
  lookAt(...pixelAt(event));
  tipOf(event);
});
canvas.addEventListener("mouseleave", () => {
  hideTip();
  if (view.data && !view.cursor) Object.assign(view, { hovered: -1, stack: [], depth: 0 });
  rehighlight();
});
canvas.addEventListener("wheel", (event) => {
  if (!view.data) return;
  if (event.ctrlKey) {
    const box = $("frame").getBoundingClientRect();
    zoomTo(zoom.scale * Math.exp(-event.deltaY / 200), event.clientX - box.left, event.clientY - box.top);
    event.preventDefault();
  } else if (goThrough(Math.sign(event.deltaY))) {
    tipOf(event);
    event.preventDefault();
  }
}, { passive: false });
canvas.addEventListener("click", (event) => {
  if (!view.data || dragged) return;
  lookAt(...pixelAt(event));
  pick(view.hovered === view.region ? -1 : view.hovered);
});

// ---------------------------------------------------------------- the cross
function moveCursor(dx, dy) {
  const { width, height } = view.photo;
  const [x, y] = view.cursor || [width >> 1, height >> 1];
  view.cursor = [Math.max(0, Math.min(width - 1, x + dx)), Math.max(0, Math.min(height - 1, y + dy))];
  lookAt(...view.cursor);
  say(view.hovered < 0 ? "no region here" : describe(view.hovered).join(", "));
}

function drawCursor(context) {
  if (!view.cursor) return;
  const [x, y] = view.cursor;
  for (const [colour, line] of [["#000", 3], ["#fff", 1]]) {
    Object.assign(context, { strokeStyle: colour, lineWidth: line });
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + 0.5 + 3 * dx, y + 0.5 + 3 * dy);
      context.lineTo(x + 0.5 + 12 * dx, y + 0.5 + 12 * dy);
    }
    context.stroke();
  }
}

canvas.addEventListener("keydown", (event) => {
  if (!view.data || event.ctrlKey || event.metaKey || event.altKey) return;
  const far = event.shiftKey ? 1 : 8;
  const way = { ArrowLeft: [-far, 0], ArrowRight: [far, 0], ArrowUp: [0, -far], ArrowDown: [0, far] }[event.key];
  if (way) moveCursor(...way);
  else if (event.key === "Enter") pick(view.hovered === view.region ? -1 : view.hovered);
  else return;
  event.preventDefault();
  event.stopPropagation();
});
canvas.addEventListener("blur", () => {
  if (view.cursor) Object.assign(view, { cursor: null, hovered: -1 });
  rehighlight();
});
