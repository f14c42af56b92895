"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const { items, questions } = data;
  const place = `caref ratings ${data.study} ${data.rater}`;
  // done: the answered and skipped screens, in the page's order; so the next screen is the one at done.length.
  let state = { started: false, keys: true, done: [], open: {} };
  let saved = true;

  // IndexedDB, not localStorage: of that each process of a browser holds a copy, and a busy Chromium 156 showed a page
  // that was opened again seconds after its answers none of them; the next answer would have been written over all
  const base = new Promise((resolve, reject) => {
    const opening = indexedDB.open("caref ratings");
    opening.onupgradeneeded = () => opening.result.createObjectStore("answers");
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
  async function held(mode, ask) {
    const transaction = (await base).transaction("answers", mode);
    const asked = ask(transaction.objectStore("answers"));
    transaction.commit(); // now, or a page that is left in the same moment ends it
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(asked.result);
      transaction.onabort = () => reject(transaction.error);
    });
  }
  const tabs = new BroadcastChannel(place);
  async function load() {
    try {
      const kept = await held("readonly", (answers) => answers.get(place));
      if (kept && kept.done.every((one, at) => items[at] && one.item === items[at].item)) state = kept;
    } catch { /* nothing can be kept here, which is told with the first answer */ }
    show(false);
  }
  async function keep() {
    saved = false;
    try {
      await held("readwrite", (answers) => answers.put(state, place));
      byId("unkept").hidden = true;
      tabs.postMessage("kept");
    } catch { byId("unkept").hidden = false; }
  }

  function make(name, text) {
    const element = document.createElement(name);
    element.textContent = text;
    return element;
  }
  const next = () => items[state.done.length];
  const asked = () => questions[Object.keys(state.open).length];

  function show(focus) {
    const ended = state.started && !next();
    byId("intro").hidden = state.started;
    byId("screen").hidden = !state.started || ended;
    byId("end").hidden = !ended;
    byId("bar").max = items.length;
    byId("bar").value = state.done.length;
    const left = items.length - state.done.length;
    byId("count").textContent = `${state.done.length} of ${items.length} done, ${left} left`;
    byId("keys").checked = state.keys;
    if (ended) {
      const skipped = state.done.filter((one) => one.skipped).length;
      byId("tally").textContent = `${items.length - skipped} rated, ${skipped} skipped.`;
    } else if (state.started) screen();
    if (!focus) return;
    const heading = document.querySelector("section:not([hidden]) h2");
    heading.focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  function screen() {
    const item = next(), question = asked();
    const part = questions.length > 1 ? `, question ${questions.indexOf(question) + 1} of ${questions.length}` : "";
    byId("heading").textContent = `Example ${state.done.length + 1} of ${items.length}${part}`;
    byId("task").textContent = item.task;
    byId("fields").replaceChildren(...item.fields.flatMap(([label, text]) => {
      const said = make("dd", text);
      said.dir = "auto";
      return [make("dt", label), said];
    }));
    byId("answer").textContent = item.answer;
    byId("explanation").textContent = item.explanation;
    byId("question").textContent = question.text;
    byId("answers").replaceChildren(...question.answers.map((answer, at) => {
      const button = make("button", "");
      button.type = "button";
      button.dataset.answer = answer;
      const key = make("kbd", at + 1);
      key.setAttribute("aria-hidden", "true");
      button.append(key, make("span", answer));
      // the second click of a double click would answer the next screen unread
      button.addEventListener("click", (event) => { if (event.detail < 2) choose(answer); });
      return button;
    }));
    byId("undo").disabled = !state.done.length && !Object.keys(state.open).length;
  }

  function choose(answer) {
    state.open[asked().name] = answer;
    if (!asked()) {
      state.done.push({ item: next().item, ...state.open });
      state.open = {};
    }
    keep();
    show(true);
  }

  function undo() {
    const given = Object.keys(state.open);
    if (given.length) delete state.open[given[given.length - 1]];
    else if (state.done.length) {
      const last = state.done.pop();
      state.open = {};
      if (!last.skipped) for (const { name } of questions.slice(0, -1)) state.open[name] = last[name];
    } else return;
    keep();
    show(true);
  }

  function askWhy() {
    byId("words").value = "";
    byId("reasons").replaceChildren(...data.skips.map((reason, at) => {
      const label = make("label", ""), input = make("input", "");
      Object.assign(input, { type: "radio", name: "reason", value: reason, required: true, checked: at === 0 });
      label.append(input, make("span", reason));
      return label;
    }));
    byId("why").showModal();
  }
  // on submit, not on close, which comes later: a key pressed in between would answer the screen that is skipped
  byId("why").addEventListener("submit", (event) => {
    if (event.submitter.value !== "skip") return;
    const reason = document.querySelector("#reasons input:checked").value;
    const words = byId("words").value.trim().replace(/\s+/g, " ");
    state.done.push({ item: next().item, skipped: words ? `${reason}: ${words}` : reason });
    state.open = {};
    keep();
    show(true);
  });

  function csv() {
    const cell = (text) => `"${String(text).replace(/^[=+\-@]/, "'$&").replaceAll('"', '""')}"`;
    const names = [...questions.map((question) => question.name), "skipped"];
    const rows = items.map((item, at) => {
      const given = state.done[at] || {};
      return [data.study, data.rater, at + 1, item.item, ...names.map((name) => given[name] || "")];
    });
    return [["study", "rater", "number", "item", ...names], ...rows].map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
  }
  function save() {
    const link = make("a", "");
    link.href = URL.createObjectURL(new Blob([csv()], { type: "text/csv" }));
    link.download = `${data.rater}.csv`;
    link.click();
    saved = true;
    byId("saved").textContent = `Saved as ${data.rater}.csv, where this browser keeps its downloads.`;
  }
  async function copy() {
    const text = byId("text");
    text.value = csv();
    text.hidden = false;
    text.select();
    let copied = true;
    try { await navigator.clipboard.writeText(text.value); } catch { copied = document.execCommand("copy"); }
    byId("saved").textContent = copied ? "Copied: paste it into a message." : "Select the text below and copy it.";
  }

  byId("start").addEventListener("click", () => { state.started = true; keep(); show(true); });
  byId("undo").addEventListener("click", (event) => { if (event.detail < 2) undo(); });
  byId("reopen").addEventListener("click", undo);
  byId("skip").addEventListener("click", askWhy);
  byId("save").addEventListener("click", save);
  byId("finish").addEventListener("click", () => { save(); document.querySelector("details").open = true; });
  byId("copy").addEventListener("click", copy);
  byId("keys").addEventListener("change", () => { state.keys = byId("keys").checked; keep(); });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input:not([type=checkbox]), textarea");
    if (!state.keys || !state.started || typing || byId("why").open) return;
    if (event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.toLowerCase(), answer = next() && asked().answers[Number(key) - 1];
    if (answer) choose(answer);
    else if (key === "u") undo();
    else if (key === "s" && next()) askWhy();
    else return;
    event.preventDefault();
  });
  // the same page in a second tab, or shown again by the browser's "back": each shows what is kept
  tabs.addEventListener("message", load);
  addEventListener("pageshow", (event) => { if (event.persisted) load(); });
  addEventListener("beforeunload", (event) => { if (!byId("unkept").hidden && !saved) event.preventDefault(); });

  byId("asked").textContent = questions.map((question) => question.text).join(" ");
  byId("scale").replaceChildren(...questions[0].answers.map((answer, at) => {
    const pair = make("div", ""), key = make("dt", "");
    key.append(make("kbd", at + 1));
    pair.append(key, make("dd", answer));
    return pair;
  }));
  byId("reminder").textContent = questions.map((q) => `${q.text} ${q.answers.join(", ")}.`).join(" ");
  load();
})();
