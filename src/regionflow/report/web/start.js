let ready = false;
fillSummary();
fillScopes();
recall();
fillExamples();
search();
fillClusters();
fillFigures();
fillTables();
fillMap();

addEventListener("hashchange", () => {
  const asked = readAddress();
  if (asked && asked.image >= 0) openRegion(asked.image, asked.region);
});
const asked = readAddress();
(asked && asked.image >= 0 && shownSet.has(asked.image) ? open(asked.image, asked.region) : shown.length ? open(shown[0]) : Promise.resolve()).then(() => {
  fillClasses();
  ready = true;
  document.body.dataset.ready = Math.round(performance.now());
});
