// Keys of the whole page; those of picture, list and map are theirs (pointer.js, list.js, lasso.js).
const KEYS = {
  ArrowLeft: () => step(-1), ArrowRight: () => step(1), p: () => step(-1), n: () => step(1),
  "]": () => goThrough(1), "[": () => goThrough(-1), Escape: () => pick(-1),
  "+": () => zoomTo(zoom.scale * 1.5), "-": () => zoomTo(zoom.scale / 1.5), 0: () => zoomTo(1),
  c: () => !$("class-name").disabled && $("class-name").focus(), s: togglePicked, r: () => ($("list-body").querySelector("[tabindex='0']") || $("list")).focus(),
  v: () => ($("images").scrollIntoView(), $("highlight").focus({ preventScroll: true })), "/": () => $("search").focus(), "?": () => $("help").showModal(),
};
["labels", "regions", "masks", "superpixels", "classes", "examples"].forEach((name, i) => {
  KEYS[i + 1] = () => !$(`layer-${name}`).disabled && $(`layer-${name}`).click();
});

addEventListener("keydown", (event) => {
  const typing = event.target.matches("input:not([type=checkbox]), select, textarea");
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  if (typing && event.key === "Escape") return void $("highlight").focus({ preventScroll: true });
  if (typing || !view.data || !Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
});
$("show-help").addEventListener("click", () => $("help").showModal());
for (const kind of ["list", "tree"]) {
  $(`as-${kind}`).addEventListener("click", () => {
    for (const other of ["list", "tree"]) {
      $(`as-${other}`).setAttribute("aria-pressed", String(other === kind));
      $(other).hidden = other !== kind;
    }
  });
}
