"use strict";
// Tables that sort and copy, and the gallery of cases. All data is in the page.

const data = JSON.parse(document.getElementById("data").textContent);
const PASSED = 0, DISTANCE = 1, NEAREST = 2, NEAREST_DISTANCE = 3, MARGIN = 4, ERROR = 5, LAYERS = 6, NEAREST_LAYERS = 7;
const PAGE = 60;

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// ------------------------------------------------------------------------------------------- tables

function valueOf(row, column) {
  const cell = row.cells[column];
  const text = cell.dataset.sort ?? cell.textContent.trim();
  const number = Number.parseFloat(text);
  return Number.isNaN(number) ? text : number;
}

function compare(a, b) {
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const down = head.getAttribute("aria-sort") !== "descending";
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows];
    rows.sort((a, b) => (down ? -1 : 1) * compare(valueOf(a, column), valueOf(b, column)));
    table.tBodies[0].append(...rows);
  }));
}

function lines(table) {
  return [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim().replace(/\s+/g, " ")));
}

const WRITERS = {
  markdown: ([head, ...rows]) => [head, head.map(() => "---"), ...rows]
    .map((row) => `| ${row.map((text) => text.replace(/\|/g, "\\|")).join(" | ")} |`).join("\n"),
  csv: (rows) => rows.map((row) => row.map((text) => `"${text.replace(/"/g, '""')}"`).join(",")).join("\r\n"),
  latex: (rows) => [`\\begin{tabular}{lll${"r".repeat(rows[0].length - 3)}}`,
    ...rows.map((row) => `${row.map((text) => text.replace(/[&%$#_{}]/g, "\\$&")).join(" & ")} \\\\`),
    "\\end{tabular}"].join("\n"),
};

for (const tools of document.querySelectorAll(".tools")) {
  tools.addEventListener("click", async (event) => {
    const how = event.target.dataset.copy;
    if (!how) return;
    const text = WRITERS[how](lines(document.getElementById(tools.dataset.for)));
    const status = tools.querySelector("[role=status]");
    try {
      await navigator.clipboard.writeText(text);
      status.textContent = "Copied.";
    } catch {  // a page opened from a file may not use the clipboard
      const area = element("textarea", { "aria-label": "Table as text", rows: "4" });
      area.value = text;
      status.replaceChildren(area);
      area.select();
    }
  });
}

// ------------------------------------------------------------------------------------------- cases

const by = Object.fromEntries(["variant", "probe", "verdict", "search", "cases", "count", "more", "case", "case-title",
  "case-body"].map((id) => [id, document.getElementById(id)]));

const nameOf = (variant) => [variant[0], variant[2], variant[1]].filter(Boolean).join(", ");
const number = (value) => (value === null ? "none" : Number(value).toPrecision(4).replace(/\.?0+($|e)/, "$1"));
const percent = (margin) => (margin === null ? "" : `${margin > 0 ? "+" : ""}${(100 * margin).toFixed(1)} %`);

function picture(place, caption) {
  const image = place === undefined || place === null
    ? element("span", {}, "not in this page")
    : element("img", { src: data.images[place], alt: "", loading: "lazy" });
  return element("figure", {}, image, element("figcaption", {}, caption));
}

function triple(one, row) {
  const reference = row?.[NEAREST];
  return element("div", { class: "images" }, picture(one.original, "original"),
    picture(one.distorted, `distorted ${row ? number(row[DISTANCE]) : ""}`),
    picture(one.references?.[reference], reference ? `${reference} ${number(row[NEAREST_DISTANCE])}` : "no reference"));
}

function verdict(row) {
  if (row[ERROR]) return element("span", { class: "missed" }, `broken: ${row[ERROR]}`);
  return element("span", { class: row[PASSED] ? "passed" : "missed" },
    `${row[PASSED] ? "✓ passed" : "✗ missed"} ${percent(row[MARGIN])}`);
}

let found = [];
let shown = 0;

function filter() {
  const variant = Number(by.variant.value);
  const text = by.search.value.trim().toLowerCase();
  found = data.cases.map((_, index) => index).filter((index) => {
    const one = data.cases[index], row = data.rows[index][variant];
    return row && (by.probe.value === "" || one.probe === Number(by.probe.value))
      && (by.verdict.value === "" || row[PASSED] === Number(by.verdict.value))
      && (!text || `${data.probes[one.probe]}/${one.id}`.toLowerCase().includes(text));
  });
  const margin = (index) => data.rows[index][variant][MARGIN] ?? -2;
  found.sort((a, b) => data.rows[a][variant][PASSED] - data.rows[b][variant][PASSED] || margin(a) - margin(b));
  shown = 0;
  by.cases.replaceChildren();
  const missed = found.filter((index) => !data.rows[index][variant][PASSED]).length;
  by.count.textContent = `${found.length} cases, ${missed} missed, worst first`;
  more();
}

function more() {
  const variant = Number(by.variant.value);
  for (const index of found.slice(shown, shown + PAGE)) {
    const one = data.cases[index], row = data.rows[index][variant];
    const title = element("span", { class: "title" }, `${data.probes[one.probe]}/${one.id}`);
    const button = element("button", { type: "button" }, title, verdict(row), triple(one, row));
    button.addEventListener("click", () => open(index));
    by.cases.append(element("li", {}, button));
  }
  shown = Math.min(found.length, shown + PAGE);
  by.more.hidden = shown >= found.length;
}

function layers(row) {
  if (!row[LAYERS]) return [];
  const most = Math.max(...row[LAYERS], ...row[NEAREST_LAYERS], Number.MIN_VALUE);
  const bar = (value, kind) => element("span", {}, element("span", { class: `bar ${kind}`,
    style: `width: ${(8 * value / most).toFixed(2)}rem` }), ` ${number(value)}`);
  const body = row[LAYERS].map((value, layer) => element("tr", {}, element("th", { scope: "row" }, String(layer + 1)),
    element("td", {}, bar(value, "")), element("td", {}, bar(row[NEAREST_LAYERS][layer], "reference"))));
  const head = element("tr", {}, ...["layer", "to the distorted image", `to ${row[NEAREST]}`]
    .map((text) => element("th", { scope: "col" }, text)));
  return [element("table", { class: "layers" }, element("caption", {}, "Which layers decided it"),
    element("thead", {}, head), element("tbody", {}, ...body))];
}

function open(index) {
  const variant = Number(by.variant.value);
  const one = data.cases[index], row = data.rows[index][variant];
  by["case-title"].textContent = `${data.probes[one.probe]}/${one.id}`;
  const drawn = Object.entries(one.drawn).map(([name, value]) => `${name}: ${typeof value === "number" ? number(value) : value}`);
  const rows = data.variants.map((each, place) => [each, data.rows[index][place]]).filter(([, other]) => other)
    .map(([each, other]) => element("tr", {}, element("th", { scope: "row" }, nameOf(each)), element("td", {}, verdict(other)),
      element("td", { class: "number" }, number(other[DISTANCE])), element("td", {}, other[NEAREST] ?? ""),
      element("td", { class: "number" }, number(other[NEAREST_DISTANCE]))));
  const head = element("tr", {}, ...["variant", "verdict", "distorted at", "nearest reference", "at"]
    .map((text) => element("th", { scope: "col" }, text)));
  by["case-body"].replaceChildren(triple(one, row),
    element("p", {}, element("strong", {}, nameOf(data.variants[variant])), " ", verdict(row)), ...layers(row),
    element("p", { class: "note" }, drawn.join(", ")),
    element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Every variant's verdict" },
      element("table", { class: "verdicts" }, element("caption", {}, "Every variant's verdict"),
        element("thead", {}, head), element("tbody", {}, ...rows))));
  by.case.showModal();
}

if (by.cases) {
  data.variants.forEach((variant, place) => by.variant.append(element("option", { value: place }, nameOf(variant))));
  data.probes.forEach((probe, place) => by.probe.append(element("option", { value: place }, probe)));
  for (const id of ["variant", "probe", "verdict", "search"]) by[id].addEventListener("input", filter);
  by.more.addEventListener("click", more);
  document.getElementById("filters").addEventListener("submit", (event) => event.preventDefault());
  filter();
}
