// Regions put aside, of any image: their ids are saved as a table.
const selected = new Set();

function changeSelection(names, take = false) {
  for (const name of names) take ? selected.delete(name) : selected.add(name);
  $("selected").textContent = `${number.format(selected.size)} region${selected.size === 1 ? "" : "s"} selected`;
  for (const id of ["save-selection", "clear-selection"]) $(id).disabled = !selected.size;
  if (view.data) tellPicked();
  drawMap();
}

function togglePicked() {
  if (view.region < 0) return;
  const name = regionName(view.image, view.data.regions.id[view.region]);
  changeSelection([name], selected.has(name));
  say($("selected").textContent);
}

const selectionText = () => ["region_id", ...[...selected].map(field)].join("\n") + "\n";

$("add").addEventListener("click", togglePicked);
$("add-listed").addEventListener("click", () => changeSelection(listed().map((place) => regionName(view.image, view.data.regions.id[place]))));
$("save-selection").addEventListener("click", () => download("regions.tsv", selectionText()));
$("clear-selection").addEventListener("click", () => changeSelection([...selected], true));
