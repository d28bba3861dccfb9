"use strict";
// Tables that sort and copy, and the gallery of cases. All data is in the page.

const PAGE = 60;  // cases drawn at once

function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// ------------------------------------------------------------------------------------------- tables

function valueOf(row, column) {
  const text = row.cells[column].dataset.sort ?? row.cells[column].textContent.trim();
  const number = Number.parseFloat(text);
  return text === "" || Number.isNaN(number) ? text : number;
}

function compare(a, b) {
  return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b));
}

for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const sign = head.getAttribute("aria-sort") === "descending" ? 1 : -1;
    for (const other of heads) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", sign < 0 ? "descending" : "ascending");
    const rows = [...table.tBodies[0].rows].map((row) => [valueOf(row, column), row]);
    rows.sort(([a], [b]) => (a === "") - (b === "") || sign * compare(a, b));  // what is empty comes last
    table.tBodies[0].append(...rows.map(([, row]) => row));
  }));
}

const cellsOf = (table) =>
  [...table.rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim().replace(/\s+/g, " ")));

const LATEX = { "\\": "\\textbackslash{}", "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "±": "$\\pm$" };

const line = (row) => `| ${row.join(" | ")} |`;
const WRITERS = {
  markdown: (rows) => {
    const [head, ...body] = rows.map((row) => row.map((text) => text.replace(/[\\|*_`[\]]/g, "\\$&").replace(/</g, "&lt;")));
    return [line(head), line(head.map((_, column) => (column < 3 ? "---" : "---:"))), ...body.map(line)].join("\n");
  },
  csv: (rows) => rows.map((row) => row.map((text) => `"${text.replace(/"/g, '""')}"`).join(",")).join("\r\n"),
  latex: (rows) => [`\\begin{tabular}{lll${"r".repeat(rows[0].length - 3)}}`, "\\hline",
    ...rows.map((row) => `${row.map((text) => text.replace(/[\\~^±&%$#_{}]/g, (sign) => LATEX[sign] ?? `\\${sign}`)).join(" & ")} \\\\`),
    "\\hline", "\\end{tabular}"].join("\n"),
};

for (const tools of document.querySelectorAll(".tools")) {
  tools.addEventListener("click", async (event) => {
    const how = event.target.dataset.copy;
    if (!how) return;
    const text = WRITERS[how](cellsOf(document.getElementById(tools.dataset.for)));
    const status = tools.querySelector("[role=status]");
    status.textContent = "";
    try {
      await navigator.clipboard.writeText(text);
      status.textContent = "Copied.";
    } catch {  // a page opened from a file may not use the clipboard
      const area = element("textarea", { "aria-label": "Table as text", rows: "4", readonly: "" });
      area.value = text;
      status.replaceChildren("Press Ctrl+C:", area);
      area.select();
    }
  });
}

// ------------------------------------------------------------------------------------------- cases

function gallery() {
  const data = JSON.parse(document.getElementById("data").textContent);
  const [PASSED, DISTANCE, NEAREST, NEAREST_DISTANCE, MARGIN, LAYERS, NEAREST_LAYERS, ERROR] = Array(8).keys();
  const AXES = ["metric", "network", "normalization"];
  const by = (id) => document.getElementById(id);
  let chosen = [];  // variants, by place
  let found = [];  // {index of the case, place of the variant that is shown, how many miss it, of how many}
  let drawn = 0;

  const nameOf = ([metric, network, normalization]) => [metric, normalization, network].filter(Boolean).join(", ");
  const titleOf = (one) => `${data.probes[one.probe]}/${one.id}`;
  const number = (value) => (value === null || value === undefined ? "none" : String(Number(value.toPrecision(4))));
  const percent = (margin) => (margin === null ? "" : `${margin > 0 ? "+" : ""}${(100 * margin).toFixed(1)} %`);
  const reference = (row) => data.references[row[NEAREST]] ?? "none";

  function verdict(row) {
    if (row[ERROR]) return element("span", { class: "missed" }, `✗ broken: ${row[ERROR]}`);
    return element("span", { class: row[PASSED] ? "passed" : "missed" },
      `${row[PASSED] ? "✓ passed" : "✗ missed"} ${percent(row[MARGIN])}`);
  }

  function picture(one, what, caption) {
    const source = data.images[one.images[what]];
    const image = source ? element("img", { src: source, alt: "" }) : element("span", {}, "(no image here)");
    return element("figure", {}, image, element("figcaption", {}, caption));
  }

  const triple = (one, row) => element("div", { class: "images" }, picture(one, "", "original"),
    picture(one, "distorted", `distorted: ${number(row[DISTANCE])}`),
    picture(one, `reference ${reference(row)}`, `${reference(row)}: ${number(row[NEAREST_DISTANCE])}`));

  function filter() {
    const text = by("search").value.trim().toLowerCase();
    const [probe, wanted] = [by("probe").value, by("verdict").value];
    chosen = data.variants.map((_, place) => place).filter((place) => AXES.every((axis, part) =>
      by(axis).value === "" || data.variants[place][part] === by(axis).value || (part > 0 && !data.variants[place][part] && by("metric").value)));
    found = [];
    data.cases.forEach((one, index) => {
      if ((probe !== "" && one.probe !== Number(probe)) || (text && !titleOf(one).toLowerCase().includes(text))) return;
      let [worst, missed, count, least] = [-1, 0, 0, Infinity];
      for (const place of chosen) {
        const row = data.rows[index][place];
        if (!row) continue;
        count += 1;
        missed += 1 - row[PASSED];
        const margin = row[MARGIN] ?? (row[PASSED] ? Number.MAX_VALUE : -2);
        if (margin < least || worst < 0) [worst, least] = [place, margin];
      }
      if (count && (wanted === "" || (missed > 0) === (wanted === "missed"))) found.push({ index, worst, missed, count, least });
    });
    found.sort((a, b) => b.missed / b.count - a.missed / a.count || a.least - b.least || a.index - b.index);
    const missed = found.filter((each) => each.missed).length;
    const variants = chosen.length === 1 ? nameOf(data.variants[chosen[0]]) : `${chosen.length} variants`;
    by("count").textContent = `${found.length} case${found.length === 1 ? "" : "s"}, ${missed} missed by ${chosen.length === 1 ? "" : "at least one of "}${variants}; worst first`;
    drawn = 0;
    by("cases").replaceChildren();
    more();
  }

  function more() {
    for (const each of found.slice(drawn, drawn + PAGE)) {
      const one = data.cases[each.index], row = data.rows[each.index][each.worst];
      const summary = each.count === 1 ? [verdict(row)] : [
        element("span", { class: each.missed ? "missed" : "passed" },
          each.missed ? `✗ missed by ${each.missed} of ${each.count}` : `✓ passed by all ${each.count}`),
        element("small", {}, `worst: ${nameOf(data.variants[each.worst])} ${percent(row[MARGIN])}`)];
      const button = element("button", { type: "button" }, element("span", { class: "title" }, titleOf(one)),
        triple(one, row), ...summary);
      button.addEventListener("click", () => open(each));
      by("cases").append(element("li", {}, button));
    }
    drawn = Math.min(found.length, drawn + PAGE);
    by("more").hidden = drawn >= found.length;
  }

  function layers(row) {
    if (!row[LAYERS]?.length) return [];
    const [mine, theirs] = [[LAYERS, DISTANCE], [NEAREST_LAYERS, NEAREST_DISTANCE]]
      .map(([parts, total]) => row[parts].map((part) => part * row[total] / 1000));
    const most = Math.max(...mine, ...theirs, Number.MIN_VALUE);
    const gaps = mine.map((value, layer) => (row[PASSED] ? 1 : -1) * (theirs[layer] - value));
    const decisive = gaps.indexOf(Math.max(...gaps));
    const bar = (value, kind) => element("td", {}, element("span", { class: `bar ${kind}`,
      style: `width: ${(7 * value / most).toFixed(2)}rem` }), number(Number(value.toPrecision(3))));
    const body = mine.map((value, layer) => element("tr", layer === decisive ? { "aria-current": "true" } : {},
      element("th", { scope: "row" }, `${layer + 1}${layer === decisive ? " ◂" : ""}`), bar(value, ""), bar(theirs[layer], "reference")));
    const head = ["layer", "to the distorted image", `to ${reference(row)}`];
    return [element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Layers" }, element("table", { class: "layers" },
      element("caption", {}, `Each layer's part of both distances. ◂: layer ${decisive + 1} decided it most.`),
      element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)))),
      element("tbody", {}, ...body)))];
  }

  function open(each) {
    const one = data.cases[each.index], rows = data.rows[each.index], at = found.indexOf(each);
    by("case-title").textContent = titleOf(one);
    const steps = [["previous", found[at - 1]], ["next", found[at + 1]]];
    for (const [id, other] of steps) [by(id).disabled, by(id).onclick] = [!other, () => open(other)];
    const part = element("div");
    const buttons = new Map();
    const choose = (place) => {
      part.replaceChildren(triple(one, rows[place]),
        element("p", {}, element("strong", {}, nameOf(data.variants[place])), ": ", verdict(rows[place])), ...layers(rows[place]));
      for (const [other, button] of buttons) button.closest("tr").toggleAttribute("aria-current", other === place);
      buttons.get(place).closest("tr").setAttribute("aria-current", "true");
    };
    const body = data.variants.map((variant, place) => [variant, place, rows[place]]).filter(([, , row]) => row)
      .map(([variant, place, row]) => {
        const button = element("button", { type: "button" }, nameOf(variant));
        button.addEventListener("click", () => { choose(place); by("case").scrollTo(0, 0); });
        buttons.set(place, button);
        return element("tr", {}, element("td", {}, button), element("td", {}, verdict(row)),
          element("td", { class: "number" }, number(row[DISTANCE])), element("td", {}, reference(row)),
          element("td", { class: "number" }, number(row[NEAREST_DISTANCE])));
      });
    const head = ["variant", "verdict and margin", "distorted at", "nearest reference", "at"];
    const facts = Object.entries(one.drawn).map(([name, value]) => `${name}: ${value}`).join(", ");
    by("case-body").replaceChildren(part, ...(facts ? [element("p", { class: "note" }, `Drawn with ${facts}`)] : []),
      element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Every variant's verdict" },
        element("table", { class: "verdicts" }, element("caption", {}, "Every variant's verdict; choose one to see its layers"),
          element("thead", {}, element("tr", {}, ...head.map((text) => element("th", { scope: "col" }, text)))),
          element("tbody", {}, ...body.map((row) => row)))));
    choose(each.worst);
    if (!by("case").open) by("case").showModal();
    by("case").scrollTo(0, 0);
  }

  data.probes.forEach((probe, place) => by("probe").append(element("option", { value: place }, probe)));
  AXES.forEach((axis, part) => {
    const values = new Set(data.variants.map((variant) => variant[part]).filter(Boolean));
    for (const value of values) by(axis).append(element("option", { value }, value));
  });
  for (const id of [...AXES, "probe", "verdict", "search"]) by(id).addEventListener("input", filter);
  by("more").addEventListener("click", more);
  by("case").addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") by("previous").click();
    if (event.key === "ArrowRight") by("next").click();
  });
  by("filters").addEventListener("submit", (event) => event.preventDefault());
  by("lossy").hidden = !data.lossy;
  filter();
}

if (document.getElementById("gallery")) gallery();
