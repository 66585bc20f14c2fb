"use strict";
// Errors are kept where tests, and people who ask for help, can read them.
window.problems = [];
addEventListener("error", (event) => window.problems.push(event.message));
addEventListener("unhandledrejection", (event) => window.problems.push(String(event.reason)));

const $ = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const percent = (share) => (100 * share).toFixed(share < 0.0995 ? (share < 0.00995 ? 2 : 1) : 0) + " %";
const css = (colour) => `rgb(${colour.join(",")})`;

/** An element with attributes, listeners (on…) and children; text is never read as HTML. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// ---------------------------------------------------------------- tooltip
function showTip(event, title, ...lines) {
  const tip = $("tip");
  tip.replaceChildren(make("b", {}, title), ...lines.filter(Boolean).flatMap((line) => [line, make("br")]));
  tip.style.display = "block";
  const { width, height } = tip.getBoundingClientRect();
  tip.style.left = Math.max(4, Math.min(event.clientX + 16, innerWidth - width - 8)) + "px";
  tip.style.top = (event.clientY + 20 + height > innerHeight ? event.clientY - height - 12 : event.clientY + 20) + "px";
}
const hideTip = () => ($("tip").style.display = "none");
// It goes with what it tells of: nothing is under the pointer any more once the page has moved.
addEventListener("scroll", hideTip, { passive: true });

/** Let the browser save a text as a file. */
function download(name, text, type = "text/tab-separated-values") {
  const link = make("a", { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Say something to people who see and people who listen. */
function say(text) {
  $("said").textContent = text;
}

/** A table; cells are text, numbers or elements. */
function table(columns, rows, label) {
  const numeric = (value) => typeof value === "number";
  const cell = (value) => make("td", numeric(value) ? { class: "number" } : {}, numeric(value) ? String(value) : value);
  const head = columns.map((c, i) => make("th", { scope: "col", class: numeric(rows[0]?.[i]) ? "number" : false }, c));
  return make("div", { class: "sheet", tabindex: 0, role: "region", "aria-label": label },
    make("table", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map(cell))))));
}
