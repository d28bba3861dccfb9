"use strict";
// Tables that sort and copy, and the gallery of cases. All data are in the page.

const DATA = JSON.parse(document.getElementById("data").textContent);
const CASES_AT_ONCE = 60;

function element(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
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
    rows.sort(([a], [b]) => (a === "") - (b === "") || sign * compare(a, b));  // empty cells come last
    table.tBodies[0].append(...rows.map(([, row]) => row));
  }));
}

for (const tools of document.querySelectorAll(".tools")) {
  tools.addEventListener("click", async (event) => {
    const format = event.target.dataset.copy;
    if (!format) return;
    const text = DATA.tables[tools.dataset.for][format];
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
  const [PASSED, DISTANCE, NEAREST, NEAREST_DISTANCE, MARGIN, LAYERS, NEAREST_LAYERS, ERROR] = Array(8).keys();
  const AXES = ["network", "normalization", "metric"];
  const byId = (id) => document.getElementById(id);
  let matches = [];  // {index of the case; number of variants, failed and unmeasured; the worst variant and its margin}
  let drawn = 0;

  const nameOf = (variant) => DATA.variants[variant].filter(Boolean).join("-");
  const probeOf = (entry) => entry.name.split("/")[0];
  const number = (value) => (value === null || value === undefined ? "none" : String(Number(value.toPrecision(4))));
  const percent = (margin) => (margin === null ? "" : `${margin > 0 ? "+" : ""}${(100 * margin).toFixed(1)} %`);
  const reference = (row) => DATA.references[row[NEAREST]] ?? "none";
  const stateOf = (row) => (row[PASSED] === null ? "unmeasured" : row[PASSED] ? "passed" : "failed");

  function verdict(row) {
    const state = stateOf(row);
    const words = { unmeasured: "? could not be measured", failed: "✗ failed", passed: "✓ passed" }[state];
    const detail = row[ERROR] ? `: ${row[ERROR]}` : ` ${percent(row[MARGIN])}`;
    return element("span", { class: state }, words + detail);
  }

  function image(entry, what, caption) {
    const source = DATA.images[entry.images[what]];
    const shown = source ? element("img", { src: source, alt: "" }) : element("span", {}, "(no image here)");
    return element("figure", {}, shown, element("figcaption", {}, caption));
  }

  function triple(entry, row) {
    const images = [image(entry, "original", "original"), image(entry, "distorted", `distorted: ${number(row[DISTANCE])}`)];
    if (row[NEAREST] >= 0) images.push(image(entry, `reference ${reference(row)}`, `${reference(row)}: ${number(row[NEAREST_DISTANCE])}`));
    return element("div", { class: "images" }, ...images);
  }

  function filter() {
    const text = byId("search").value.trim().toLowerCase();
    const [probe, wanted, metric] = [byId("probe").value, byId("verdict").value, byId("metric").value];
    const selected = DATA.variants.map((_, variant) => variant).filter((variant) => AXES.every((axis, part) => {
      const value = DATA.variants[variant][part];  // without a network: shown for each, if its metric is selected
      return byId(axis).value === "" || value === byId(axis).value || (value === "" && metric !== "");
    }));
    matches = [];
    DATA.cases.forEach((entry, index) => {
      if ((probe !== "" && probeOf(entry) !== probe) || (text && !entry.name.toLowerCase().includes(text))) return;
      const match = { index, worst: -1, least: Infinity, variants: 0, unmeasured: 0, failed: 0 };
      for (const variant of selected) {
        const row = DATA.rows[index][variant];
        if (!row) continue;
        const state = stateOf(row);
        match.variants += 1;
        match.unmeasured += state === "unmeasured";
        match.failed += state === "failed";
        const margin = { unmeasured: -3, failed: row[MARGIN] ?? -2, passed: row[MARGIN] ?? Number.MAX_VALUE }[state];
        if (margin < match.least || match.worst < 0) [match.worst, match.least] = [variant, margin];
      }
      const states = { unmeasured: match.unmeasured > 0, failed: match.failed > 0, passed: !match.unmeasured && !match.failed };
      if (match.variants && (wanted === "" || states[wanted])) matches.push(match);
    });
    const share = (match, state) => match[state] / match.variants;
    matches.sort((a, b) => share(b, "unmeasured") - share(a, "unmeasured") || share(b, "failed") - share(a, "failed")
      || a.least - b.least || a.index - b.index);
    const count = (state) => matches.filter((match) => match[state]).length;
    const name = selected.length === 1 ? nameOf(selected[0]) : `at least one of ${selected.length} variants`;
    byId("count").textContent = [`${matches.length} case${matches.length === 1 ? "" : "s"}`,
      ...(count("unmeasured") ? [`${count("unmeasured")} could not be measured`] : []),
      `${count("failed")} failed by ${name}; worst first`].join(", ");
    drawn = 0;
    byId("cases").replaceChildren();
    more();
  }

  function summary(match, row) {
    if (match.variants === 1) return [verdict(row)];
    const states = ["unmeasured", "failed"].filter((state) => match[state]);
    const words = { unmeasured: "? could not be measured by", failed: "✗ failed by" };
    return [...states.map((state) => element("span", { class: state }, `${words[state]} ${match[state]} of ${match.variants}`)),
      ...(states.length ? [] : [element("span", { class: "passed" }, `✓ passed by all ${match.variants}`)]),
      element("small", {}, `worst: ${nameOf(match.worst)} ${percent(row[MARGIN])}`)];
  }

  function more() {
    for (const match of matches.slice(drawn, drawn + CASES_AT_ONCE)) {
      const entry = DATA.cases[match.index], row = DATA.rows[match.index][match.worst];
      const button = element("button", { type: "button" }, element("span", { class: "title" }, entry.name),
        triple(entry, row), ...summary(match, row));
      button.addEventListener("click", () => open(match));
      byId("cases").append(element("li", {}, button));
    }
    drawn = Math.min(matches.length, drawn + CASES_AT_ONCE);
    byId("more").hidden = drawn >= matches.length;
  }

  function table(name, label, caption, heads, rows) {
    return element("div", { class: "wide", tabindex: "0", role: "region", "aria-label": label },
      element("table", { class: name }, element("caption", {}, caption),
        element("thead", {}, element("tr", {}, ...heads.map((text) => element("th", { scope: "col" }, text)))),
        element("tbody", {}, ...rows)));
  }

  function layers(row) {
    if (!row[LAYERS]?.length) return [];
    const [distorted, nearest] = [[LAYERS, DISTANCE], [NEAREST_LAYERS, NEAREST_DISTANCE]]
      .map(([parts, total]) => row[parts].map((part) => part * row[total] / 1000));
    const largest = Math.max(...distorted, ...nearest, Number.MIN_VALUE);
    const gaps = distorted.map((value, layer) => (row[PASSED] ? 1 : -1) * (nearest[layer] - value));
    const decisive = gaps.indexOf(Math.max(...gaps));
    const bar = (value, kind) => element("td", {}, element("span", { class: `bar ${kind}`,
      style: `width: ${(7 * value / largest).toFixed(2)}rem` }), number(Number(value.toPrecision(3))));
    const rows = distorted.map((value, layer) => element("tr", layer === decisive ? { "aria-current": "true" } : {},
      element("th", { scope: "row" }, `${layer + 1}${layer === decisive ? " ◂" : ""}`), bar(value, ""), bar(nearest[layer], "reference")));
    return [table("layers", "Layers", `Each layer's part of both distances. ◂: layer ${decisive + 1} contributed most to the verdict.`,
      ["layer", "to the distorted image", `to ${reference(row)}`], rows)];
  }

  function open(match) {
    const entry = DATA.cases[match.index], rows = DATA.rows[match.index], at = matches.indexOf(match);
    byId("case-title").textContent = entry.name;
    for (const [id, other] of [["previous", matches[at - 1]], ["next", matches[at + 1]]]) {
      [byId(id).disabled, byId(id).onclick] = [!other, () => open(other)];
    }
    const part = element("div");
    const buttons = new Map();
    const choose = (variant) => {
      part.replaceChildren(triple(entry, rows[variant]),
        element("p", {}, element("strong", {}, nameOf(variant)), ": ", verdict(rows[variant])), ...layers(rows[variant]));
      for (const button of buttons.values()) button.closest("tr").removeAttribute("aria-current");
      buttons.get(variant).closest("tr").setAttribute("aria-current", "true");
    };
    const body = DATA.variants.flatMap((_, variant) => {
      const row = rows[variant];
      if (!row) return [];
      const button = element("button", { type: "button" }, nameOf(variant));
      button.addEventListener("click", () => { choose(variant); byId("case").scrollTo(0, 0); });
      buttons.set(variant, button);
      return [element("tr", {}, element("td", {}, button), element("td", {}, verdict(row)),
        element("td", { class: "number" }, number(row[DISTANCE])), element("td", {}, reference(row)),
        element("td", { class: "number" }, number(row[NEAREST_DISTANCE])))];
    });
    const facts = Object.entries(entry.drawn).map(([name, value]) => `${name}: ${value}`).join(", ");
    byId("case-body").replaceChildren(part, ...(facts ? [element("p", { class: "note" }, `Drawn with ${facts}`)] : []),
      table("verdicts", "Every variant's verdict", "Every variant's verdict; select one to see its layers",
        ["variant", "verdict and margin", "distance", "nearest reference", "its distance"], body));
    choose(match.worst);
    if (!byId("case").open) byId("case").showModal();
    byId("case").scrollTo(0, 0);
  }

  for (const probe of new Set(DATA.cases.map(probeOf))) byId("probe").append(element("option", { value: probe }, probe));
  AXES.forEach((axis, part) => {
    const values = new Set(DATA.variants.map((variant) => variant[part]).filter(Boolean));
    for (const value of values) byId(axis).append(element("option", { value }, value));
  });
  for (const id of [...AXES, "probe", "verdict", "search"]) byId(id).addEventListener("input", filter);
  byId("more").addEventListener("click", more);
  byId("case").addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") byId("previous").click();
    if (event.key === "ArrowRight") byId("next").click();
  });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  if (DATA.images_left_out) {
    byId("left-out").hidden = false;
    byId("left-out").textContent = `${DATA.images_left_out} images are left out to limit the size of the page; dps probes draw shows all.`;
  }
  filter();
}

if (document.getElementById("gallery")) gallery();
