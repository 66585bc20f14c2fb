// Crops of clusters and of classes.
function cropButton(crop, about) {
  return make("button", {
    class: crop.far ? "crop far" : "crop",
    onclick: () => openRegion(crop.image, crop.region),
    onmousemove: (event) => showTip(event, `region ${crop.region}`, images.id[crop.image], `area ${number.format(crop.area)} px`, about(crop)),
    onmouseleave: hideTip,
  }, make("img", { src: crop.src, alt: `region ${crop.region} of ${images.id[crop.image]}`, loading: "lazy" }));
}

function bars(box, entries) {
  const most = Math.max(1, ...entries.map((e) => e.size));
  box.replaceChildren(...entries.map((e) => make("button", { class: "row", title: e.name, onclick: e.go },
    make("span", {}, e.name),
    make("span", { class: "track" }, make("i", { style: `width:${(100 * e.size) / most}%;background:${css(e.colour)}` })),
    make("span", {}, number.format(e.size)))));
}

const gallery = (id, colour, name, size, crops) => make("div", { class: "gallery", id },
  make("h3", {}, swatch(colour), name, make("span", {}, `${number.format(size)} region${size === 1 ? "" : "s"}`)),
  make("div", { class: "crops" }, ...crops));

function fillClusters() {
  const order = clusters.map((_, c) => c).sort((a, b) => clusters[b].size - clusters[a].size);
  bars($("bars"), order.map((c) => ({ name: nameOf(c), size: clusters[c].size, colour: colourOf(c), go: () => $(`cluster-${c}`).scrollIntoView() })));
  $("galleries").append(...order.map((c) => gallery(`cluster-${c}`, colourOf(c), nameOf(c), clusters[c].size,
    clusters[c].crops.map((crop) => cropButton(crop, (one) => `distance ${one.distance.toPrecision(3)}`)))));
}

// ---------------------------------------------------------------- classes
function fillClasses() {
  const l = labeler();
  if (!l) return;
  const order = l.classes.map((_, c) => c).filter((c) => l.sizes[c + 1]).sort((a, b) => l.sizes[b + 1] - l.sizes[a + 1]);
  const never = l.classes.filter((_, c) => !l.sizes[c + 1]);
  const show = (c) => (($(`layer-classes`).checked = true), ($("filter-class").value = "*"), refresh(), ($(`class-${c}`) ?? $("classes")).scrollIntoView());
  bars($("class-bars"), [...order.map((c) => ({ name: l.classes[c], size: l.sizes[c + 1], colour: l.colours[c], go: () => show(c) })),
    ...(l.sizes[0] ? [{ name: "no class", size: l.sizes[0], colour: NONE, go: () => {} }] : [])]);
  $("class-galleries").replaceChildren(...(l.crops.length ? order : []).map((c) => gallery(`class-${c}`, l.colours[c], l.classes[c], l.sizes[c + 1],
    l.crops[c].map((crop) => cropButton(crop, (one) => `score ${(1 - one.distance).toFixed(2)}`)))));
  $("class-note").textContent = `Class names by ${l.name}, regions of the whole set. Crops: surest first, the last ones (dashed) least sure.` +
    (never.length ? ` On no region: ${never.join(", ")}.` : "") + (l.crops.length ? "" : " Crops are of the first labeler alone.");
  fillFit(l.fit);
}

function fillFit(fit) {
  $("fit").replaceChildren();
  if (!fit) return;
  const said = fit.guessed ? `${fit.examples} examples; ${fit.guessed} can be guessed from those of other images, ${percent(fit.accuracy)} of these rightly.`
    : `${fit.examples} examples; no class has examples in two images, so that nothing is known of how well they are guessed.`;
  const rows = fit.classes.map((c) => [c.name, c.examples, c.guessed, c.guessed ? percent(c.right / c.guessed) : "–"]);
  $("fit").append(make("h3", {}, "How well the examples are guessed"), make("p", { class: "note" }, said),
    table(["class", "examples", "guessed", "rightly"], rows, "Cross-validation by class"));
  if (fit.next.length) {
    $("fit").append(make("h3", {}, "Worth labelling next"), make("p", { class: "note" }, "Regions where the two likeliest classes are close. Click one, name it, and save the examples."),
      make("div", { class: "next" }, ...fit.next.map((n) => make("button", { class: "entry", onclick: () => openRegion(n.image, n.region) },
        swatch(classColour(labeler().classes.indexOf(n.guess) + 1)), `${n.guess}?`, make("span", {}, `${images.id[n.image]} ${n.region}${shownSet.has(n.image) ? "" : " ↗"}`)))));
  }
}
