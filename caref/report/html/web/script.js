"use strict";
const { cells, measures } = JSON.parse(document.getElementById("behind").textContent);

// ---- behind a cell ----

function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined && text !== null) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function drawn(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// Every split as a dot, stacked where splits score alike; the line is the mean.
function dots({ label: name, decimals }, values, splits) {
  const width = 320, base = 84, radius = 3.4;
  const known = values.map((value, at) => [value, splits[at]]).filter(([value]) => value !== null);
  const low = Math.min(...known.map(([value]) => value)), high = Math.max(...known.map(([value]) => value));
  const span = high - low || 1;
  const x = (value) => 14 + ((value - low) / span) * (width - 28);
  const svg = drawn("svg", { viewBox: `0 0 ${width} 104`, role: "img", "aria-label": `${name} of every split` });
  svg.append(drawn("text", { x: 0, y: 11, class: "name" }, name));
  svg.append(drawn("line", { x1: 8, x2: width - 8, y1: base + 5, y2: base + 5, class: "axis" }));
  const stacks = new Map();
  for (const [value, split] of known) {
    const bin = Math.round(x(value) / (2 * radius));
    const level = stacks.get(bin) ?? 0;
    stacks.set(bin, level + 1);
    const dot = drawn("circle", { cx: bin * 2 * radius, cy: base - level * 2 * radius, r: radius - 0.4 });
    dot.append(drawn("title", {}, `split ${split}: ${value}`));
    svg.append(dot);
  }
  const mean = known.reduce((sum, [value]) => sum + value, 0) / known.length;
  svg.append(drawn("line", { x1: x(mean), x2: x(mean), y1: 18, y2: base + 5, class: "at" }));
  svg.append(drawn("text", { x: x(mean), y: 100, "text-anchor": "middle" }, mean.toFixed(decimals)));
  if (high > low) {
    if (x(mean) > 60) svg.append(drawn("text", { x: 8, y: 100 }, low.toFixed(decimals)));
    if (x(mean) < width - 60) svg.append(drawn("text", { x: width - 8, y: 100, "text-anchor": "end" }, high.toFixed(decimals)));
  }
  return svg;
}

function splitTable(cell) {
  const shown = measures.filter((one) => cell.scores[one.name]);
  const table = make("table", null, "list"), head = table.createTHead().insertRow(), body = table.createTBody();
  for (const name of ["split", "seed", ...shown.map((one) => one.label)]) head.append(make("th", name));
  cell.splits.forEach((split, at) => {
    const row = body.insertRow();
    for (const value of [split, cell.seeds[at], ...shown.map((one) => cell.scores[one.name][at])]) row.append(make("td", value ?? "–"));
  });
  return table;
}

// ---- the words of an example, shaded by an attribution ----

const LEGEND = [
  ["counts for the most probable choice", "word full"], ["speaks against it", "word against full"],
  ["marked by people", "marked"], ["repeated by the explanation", "repeated"],
];
let chosen = "";
const bare = (word) => word.toLowerCase().replace(/^[^\p{L}\p{N}]+|[^\p{L}\p{N}]+$/gu, "");

function words({ words: { text, fields, marked, scores } }) {
  const underlined = new Set(marked), lines = [];
  text.forEach((word, at) => {
    if (!at || fields[at] !== fields[at - 1]) {
      lines.push(make("p", null, "words"));
      lines.at(-1).append(make("span", fields[at], "key"));
    }
    const span = make("span", word, "word");
    span.classList.toggle("marked", underlined.has(at));
    span.classList.toggle("repeated", Boolean(scores.explanation_words?.[at]));
    span.shares = Object.fromEntries(Object.entries(scores).map(([name, own]) => [name, own[at]]));
    lines.at(-1).append(span, " ");
  });
  return lines;
}

function explanation({ explanation: said, words: { text, scores } }) {
  const own = new Set(text.filter((_, at) => scores.explanation_words?.[at]).map(bare));
  const line = make("p", null, "words");
  line.append(make("span", "explains", "key"));
  for (const word of (said || "no explanation").split(/\s+/)) {
    const span = make("span", word);
    span.classList.toggle("repeated", own.has(bare(word)));
    line.append(span, " ");
  }
  return line;
}

function shade(place) {
  for (const span of place.querySelectorAll(".word")) {
    const share = span.shares[chosen] ?? 0;
    span.style.setProperty("--share", Math.abs(share));
    span.classList.toggle("against", share < 0);
    span.title = chosen in span.shares ? `${share} % of the example's largest` : "not scored";
  }
}

function choice({ attributions }, place) {
  const label = make("label", "Words shaded by ", "shading"), select = make("select");
  select.id = "attribution";
  for (const [name, said] of attributions) select.add(new Option(said, name));
  if (!attributions.some(([name]) => name === chosen)) chosen = attributions[0]?.[0] ?? "";
  select.value = chosen;
  select.addEventListener("change", () => { chosen = select.value; shade(place); });
  label.append(select);
  return label;
}

function example(one) {
  const block = make("div", null, "example");
  const line = (key, text, className) => {
    const p = make("p", null, className);
    if (key) p.append(make("span", key, "key"));
    p.append(text);
    block.append(p);
    return p;
  };
  if (one.words) block.append(...words(one));
  else line("", one.source ?? "", "source");
  const said = line("generated", one.generation ?? "");
  said.prepend(make("span", one.right ? "✓ " : "✗ ", `mark ${one.right ? "yes" : "no"}`));
  if (one.words) {
    if ("explanation" in one) block.append(explanation(one));
    line("choices", one.choices.map((name, at) => `${name} ${(100 * one.p[at]).toFixed(1)} %`).join(", "));
  }
  line("gold", [one.gold, (one.explanations ?? []).join(" / ")].filter(Boolean).join(" because "));
  if ("nbert" in one) line("nBERT", `${Number(one.nbert ?? 0).toFixed(2)}${one.broken ? ", no explanation: counted as “unk”" : ""}`);
  return block;
}

const dialog = document.getElementById("cell");

function open(signature) {
  const cell = cells[signature];
  if (!cell) return;
  document.getElementById("cell-title").textContent = cell.title;
  const body = document.getElementById("cell-body");
  body.replaceChildren();
  const failed = cell.failed ? `; failed: ${cell.failed}` : "";
  body.append(make("p", `signature ${signature}; source ${cell.source || "none"}; data ${cell.fingerprint || "unknown"}; ${cell.splits.length} splits${failed}`, "facts"));
  for (const note of cell.notes) body.append(make("p", note, "banner"));
  if (cell.splits.length) {
    const plots = make("div", null, "plots");
    for (const one of measures) if (one.drawn && cell.scores[one.name]) plots.append(dots(one, cell.scores[one.name], cell.splits));
    body.append(plots);
    const all = make("details"), scroll = make("div", null, "scroll");
    scroll.append(splitTable(cell));
    all.append(make("summary", "Every split"), scroll);
    body.append(all, make("h3", "Predictions"));
    const where = `${signature}/predictions/${String(cell.from).padStart(3, "0")}.jsonl.gz`;
    if (cell.predictions === null) {
      const lacking = cell.source === "published" ? "Published are the scores alone." : null;
      body.append(make("p", lacking ?? `The predictions of split ${cell.from} are missing or cannot be read (${where}).`, "facts"));
    } else {
      const of = cell.evaluated ? ` of ${cell.evaluated}` : "", taken = cell.shaded ? `, of the ${cell.shaded.of} that evidence was taken of` : "";
      body.append(make("p", `The first ${cell.predictions.length}${taken || of} of split ${cell.from}, in its order; all are in ${where}.`, "facts"));
      if (cell.unshaded) body.append(make("p", cell.unshaded, "banner"));
      const examples = make("div");
      for (const one of cell.predictions) examples.append(example(one));
      if (cell.shaded) {
        const legend = make("p", null, "facts");
        for (const [text, kind] of LEGEND) if (kind !== "repeated" || cell.shaded.attributions.some(([name]) => name === "explanation_words")) legend.append(make("span", text, kind), " ");
        body.append(choice(cell.shaded, examples), legend);
        shade(examples);
      }
      body.append(examples);
    }
  }
  dialog.showModal();
  dialog.scrollTop = 0;
  history.replaceState(null, "", `#cell=${signature}`);
}

dialog.addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));
dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
document.addEventListener("click", (event) => {
  const place = event.target.closest("[data-cell]");
  if (place) open(place.dataset.cell);
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && event.target.matches("tr[data-cell]")) open(event.target.dataset.cell);
});
if (location.hash.startsWith("#cell=")) open(location.hash.slice(6));

// ---- the list of all cells ----

const all = document.getElementById("all"), filter = document.getElementById("filter"), shown = document.getElementById("shown");
const rows = [...all.tBodies[0].rows];

function narrow() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
    if (!row.hidden) count += 1;
  }
  shown.textContent = words.length ? `${count} of ${rows.length}` : `${rows.length} cells`;
}
filter.addEventListener("input", narrow);
narrow();

all.tHead.addEventListener("click", (event) => {
  const head = event.target.closest("th");
  if (!head) return;
  const column = head.cellIndex, words = head.classList.contains("text"), down = head.getAttribute("aria-sort") === "descending" || !head.hasAttribute("aria-sort") && words;
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "ascending" : "descending");
  const value = (row) => { const text = row.cells[column].textContent; return words ? text : parseFloat(text); };
  const order = (a, b) => (typeof a === "string" ? a.localeCompare(b) : (isNaN(a) ? -Infinity : a) - (isNaN(b) ? -Infinity : b));
  rows.sort((a, b) => (down ? 1 : -1) * order(value(a), value(b)));
  all.tBodies[0].append(...rows);
});
