// The regions as a tree: what lies in what. A branch is filled when it is opened.
const branches = new Map();

function fillTree() {
  branches.clear();
  const { parent, area } = view.data.regions;
  parent.forEach((p, place) => {
    let above = p;
    while (above >= 0 && !view.passing[above]) above = parent[above]; // what is filtered out passes its children on
    if (view.passing[place]) branches.set(above, [...(branches.get(above) || []), place]);
  });
  for (const places of branches.values()) places.sort((a, b) => area[b] - area[a]);
  $("tree").replaceChildren(branch(-1));
}

const branch = (place) => make("ul", {}, ...(branches.get(place) || []).map((child) => make("li", {}, node(child))));

function node(place) {
  const children = branches.get(place);
  const r = view.data.regions;
  const name = exampleOf(view.image, place)?.name ?? className(place);
  const text = [swatch(layer("classes") ? classColour(classValue(place)) : colourOf(r.cluster[place])),
    ` ${r.id[place]}${name ? ` · ${name}` : ""} · ${number.format(r.area[place])} px` + (children ? ` · ${children.length} inside` : "")];
  const look = { "data-place": place, onmouseenter: () => highlightRegion(place), onmouseleave: rehighlight, onfocus: () => highlightRegion(place), onblur: rehighlight, onclick: () => pick(place) };
  if (!children) return make("button", { class: "leaf", ...look }, ...text);
  const details = make("details", {}, make("summary", look, ...text));
  details.addEventListener("toggle", () => details.open && details.childElementCount === 1 && (details.append(branch(place)), markPicked()));
  return details;
}
