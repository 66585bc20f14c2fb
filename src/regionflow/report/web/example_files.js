// Files of examples: exactly what the labeler `examples` reads (docs/semantics.md): image, x, y, class, or region_id, class.

/** A field of a table with tabs as Python's csv module reads it. */
const field = (text) => (/[\t\n\r"]/.test(String(text)) ? `"${String(text).replaceAll('"', '""')}"` : String(text));
const line = (fields) => fields.map(field).join("\t");

/** The rows of such a table; quotes may hold tabs and line ends. */
function readTable(text) {
  const rows = [[""]];
  let quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i], row = rows[rows.length - 1];
    if (quoted) {
      if (c === '"' && text[i + 1] === '"') row[row.length - 1] += text[++i];
      else if (c === '"') quoted = false;
      else row[row.length - 1] += c;
    } else if (c === '"' && row[row.length - 1] === "") quoted = true;
    else if (c === "\t") row.push("");
    else if (c === "\n") rows.push([""]);
    else if (c !== "\r") row[row.length - 1] += c;
  }
  return rows.filter((row) => row.length > 1 || row[0] !== "");
}

/** What of the examples can be told by points, and what only by region ids: regions wholly under smaller ones. */
function exampleText() {
  const all = [...examples.values()];
  if (all.every((e) => e.x !== null)) {
    return line(["image", "x", "y", "class"]) + "\n" + all.map((e) => line([e.image, e.x, e.y, e.name]) + "\n").join("");
  }
  if (all.every((e) => e.region !== null)) {
    return line(["region_id", "class"]) + "\n" + all.map((e) => line([`${e.image}_region_${e.region}`, e.name]) + "\n").join("");
  }
  const hidden = all.filter((e) => e.x === null).map((e) => `${e.image}_region_${e.region}`);
  throw new Error(`A file holds points or region ids, not both. Only a region id can name ${hidden.join(", ")}, under smaller ` +
    "regions; other examples are points of images that this page does not show. Take one kind out.");
}

/** The examples of a table: {image, x, y, region, name}; x and y or region are null. Raises Error with all faults. */
function parseExamples(text) {
  const [head = [], ...body] = readTable(text.replace(/^\ufeff/, ""));
  const at = (name) => head.indexOf(name);
  const byPoint = ["image", "x", "y", "class"].every((name) => at(name) >= 0);
  if (!byPoint && !["region_id", "class"].every((name) => at(name) >= 0)) throw new Error("The first line names the columns image, x, y, class, or region_id, class.");
  const faults = [];
  const read = body.map((row, i) => {
    const get = (name) => (row[at(name)] ?? "").trim();
    const fault = (text) => (faults.push(`line ${i + 2}: ${text}`), null);
    if (!get("class")) return fault("no class name");
    if (byPoint) {
      const [x, y] = [get("x"), get("y")];
      if (x === "" || y === "" || !isFinite(x) || !isFinite(y)) return fault(`x ${x} and y ${y} are not both numbers`);
      return { image: row[at("image")], x: +x, y: +y, region: null, name: get("class") };
    }
    const id = get("region_id").match(/^([^]*)_region_(\d+)$/);
    return id ? { image: id[1], x: null, y: null, region: +id[2], name: get("class") } : fault(`${get("region_id")} is no region id`);
  });
  if (faults.length) throw new Error(faults.join("; "));
  return read;
}
