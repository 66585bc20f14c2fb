// Figures of the run, and its tables.
/** [path, text] of every value in nested options. */
function* leaves(options, path = []) {
  for (const [key, value] of Object.entries(options)) {
    if (value !== null && typeof value === "object" && !Array.isArray(value)) yield* leaves(value, [...path, key]);
    else yield [[...path, key].join("."), JSON.stringify(value)];
  }
}

function fillSummary() {
  const s = data.summary;
  const card = (value, text, bad) => make("div", { class: bad ? "card bad" : "card" }, make("b", {}, value), make("span", {}, text));
  const splits = Object.entries(s.splits).filter(([name]) => name).map(([name, count]) => `${name} ${number.format(count)}`).join(", ");
  $("summary").append(
    card(number.format(s.images), splits ? `images (${splits})` : "images"),
    card(number.format(s.regions), `regions, ${(s.regions / Math.max(1, s.images - s.unreadable)).toFixed(0)} per image`),
    card(percent(s.masks_covered), "of all pixels in masks"),
    card(percent(s.regions_covered), "of all pixels in regions"),
    card(number.format(clusters.length), s.empty ? `clusters, ${s.empty} of them empty` : "clusters, none empty", s.empty),
    ...(s.silhouette === null ? [] : [card(s.silhouette.toFixed(2), "silhouette (−1 to 1, on a sample)")]),
    ...(labelers[0] ? [card(number.format(labelers[0].classes.length), "classes by " + labelers[0].name)] : []),
    card(number.format(s.unreadable), s.unreadable === 1 ? "image could not be read" : "images could not be read", s.unreadable),
  );
}

function fillTables() {
  const problems = data.problems.map((p) => [p.image, p.path, p.reason]);
  $("problem-list").append(problems.length ? table(["image", "file", "reason"], problems, "Problems") : make("p", { class: "note" }, "None: every image could be read."));
  const code = (value) => make("code", {}, value);
  const run = $("run-tables");
  if (data.comparison.length) run.append(make("h3", {}, "Numbers of clusters compared"), table(Object.keys(data.comparison[0]), data.comparison.map((row) => Object.values(row).map(Number)), "Numbers of clusters compared"));
  const left = make("div", {}, make("h3", {}, "Time per stage of this variant, in seconds"),
    data.timings.length ? table(["stage", "jobs", "total", "mean", "longest"], data.timings.map((t) => [t.stage, t.jobs, t.total, t.mean, t.max]), "Time per stage") : make("p", { class: "note" }, "No records of jobs were found."));
  const right = make("div", {}, make("h3", {}, "Versions"), table(["library", "version"], Object.entries(data.versions), "Versions"));
  run.append(make("div", { class: "columns" }, left, right), make("h3", {}, "Parameters, as the files tell them"),
    table(["stage", "option", "value"], data.parameters.flatMap(([stage, options]) => [...leaves(options)].map(([key, value]) => [stage, key, code(value)])), "Parameters"));
}
