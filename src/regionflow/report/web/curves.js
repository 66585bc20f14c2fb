// Curves over the steps of a training, as drawings that grow with their place.
const DASHES = ["none", "7 3", "2 3"];

/** A panel {title, steps, lines: [{name, values}]}; a value of null is a gap, a single value the same at all steps. */
function curves({ title, steps, lines }) {
  const [W, H, LEFT] = [420, 180, 44];
  const known = lines.flatMap((line) => line.values).filter((value) => value !== null);
  const low = known.length ? Math.min(...known) : 0, high = Math.max(...known, low + 1e-9);
  const digits = Math.max(0, Math.min(6, 2 - Math.floor(Math.log10(high - low))));
  const last = Math.max(...steps, 1);
  const x = (step) => LEFT + ((W - LEFT) * step) / last, y = (value) => 6 + (H - 12) * (1 - (value - low) / (high - low));
  const ticks = [0, 0.5, 1].flatMap((share) => {
    const value = low + share * (high - low);
    return [svg("line", { x1: LEFT, x2: W, y1: y(value), y2: y(value), class: "axis" }), svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end", class: "tick" }, value.toFixed(digits))];
  });
  const drawn = lines.map(({ name, values }, i) => {
    const points = values.length === 1 ? [[0, values[0]], [last, values[0]]] : steps.map((step, j) => [step, values[j]]);
    const path = points.reduce(([text, pen], [step, value]) => (value === null ? [text, "M"] : [`${text}${pen}${x(step).toFixed(1)} ${y(value).toFixed(1)}`, "L"]), ["", "M"])[0];
    const line = svg("path", { d: path, class: `curve c${i}`, "stroke-dasharray": DASHES[i % DASHES.length] });
    line.append(svg("title", {}, name));
    return line;
  });
  const ends = lines.map(({ name, values }) => `${name} ${values[0] ?? "unknown"}${values.length > 1 ? ` to ${values.at(-1) ?? "unknown"}` : ""}`);
  const legend = lines.map(({ name }, i) => make("span", {}, svg("svg", { viewBox: "0 0 26 8", class: "dash", "aria-hidden": "true" }, svg("line", { x1: 0, x2: 26, y1: 4, y2: 4, class: `curve c${i}`, "stroke-dasharray": DASHES[i % DASHES.length] })), name));
  return make("figure", {}, make("figcaption", {}, title),
    svg("svg", { viewBox: `0 0 ${W} ${H + 20}`, role: "img", "aria-label": `${title} over ${last} steps: ${ends.join(", ")}` }, ...ticks, ...drawn, svg("text", { x: W, y: H + 14, "text-anchor": "end", class: "tick" }, `step ${number.format(last)}`)),
    make("p", { class: "lines" }, ...legend));
}
