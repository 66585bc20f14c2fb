"""The report: one HTML page about a run, self-contained, for a browser without network (docs/report.md).

`build` gathers what the page shows: `survey` reads the labels of the whole set, `pictures` makes what is embedded of
single images, `features_map` the 2-D map. `page` puts it into page.html with page.css and page.js.
"""
