"use strict";
// Without this script everything is shown at once; with it the page is short, and the rest comes on demand.
// Every text from a claim, a model or a file enters the page through textContent or an attribute alone.
(() => {
  document.documentElement.classList.add("js");

  function element(name, text, className) {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    if (className) node.className = className;
    return node;
  }

  function button(text, className, onClick) {
    const node = element("button", text, className);
    node.type = "button";
    node.addEventListener("click", onClick);
    return node;
  }

  // ---- What a word means, and what a mark stands for: on hover, on focus, gone with Escape.
  const tip = element("div", "", "tip");
  tip.id = "tip";
  tip.setAttribute("role", "tooltip");
  tip.setAttribute("aria-live", "polite");
  tip.hidden = true;
  document.body.append(tip);
  let described = null;

  function hideTip() {
    tip.hidden = true;
    described?.removeAttribute("aria-describedby");
    described = null;
  }

  function showTip(holder, focused) {
    tip.textContent = holder.dataset.tip;
    tip.hidden = false;
    const box = holder.getBoundingClientRect();
    const width = document.documentElement.clientWidth;
    const left = Math.min(box.left, width - tip.offsetWidth - 8);
    const above = box.top - tip.offsetHeight - 6;
    const below = box.bottom + 6;
    tip.style.left = `${Math.max(8, left)}px`;
    tip.style.top = `${below + tip.offsetHeight > window.innerHeight && above > 0 ? above : below}px`;
    if (focused) {
      described = focused;
      focused.setAttribute("aria-describedby", "tip");
    }
  }

  const holderOf = (event) => event.target.closest?.("[data-tip]");
  document.addEventListener("pointerover", (event) => {
    const holder = holderOf(event);
    if (holder) showTip(holder);
    else if (!described) hideTip();
  });
  document.addEventListener("focusin", (event) => {
    hideTip();
    const holder = holderOf(event);
    if (holder) showTip(holder, event.target);
  });
  document.addEventListener("focusout", hideTip);
  document.addEventListener("scroll", () => !described && hideTip(), { passive: true });
  document.addEventListener("keydown", (event) => event.key === "Escape" && hideTip());

  for (const word of document.querySelectorAll("[data-tip]:not(circle):not(td)")) {
    word.classList.add("term");
    if (!word.closest("table")) word.tabIndex = 0;
  }

  // ---- Files: a figure as SVG, a table as LaTeX.
  function save(name, type, text) {
    const link = element("a");
    link.href = URL.createObjectURL(new Blob([text], { type }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  async function copy(text, pressed) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Where there is no clipboard for pages (an old browser, a page that is not trusted), the old way.
      const field = element("textarea", text);
      document.body.append(field);
      field.select();
      document.execCommand("copy");
      field.remove();
      pressed.focus();
    }
    const before = pressed.textContent;
    pressed.textContent = "Copied";
    setTimeout(() => { pressed.textContent = before; }, 1500);
  }

  const colours = JSON.parse(document.getElementById("main").dataset.colours);

  function svgFile(svg) {
    const drawing = svg.cloneNode(true);
    drawing.querySelector(".hits")?.remove();
    const [, , width, height] = drawing.getAttribute("viewBox").split(" ");
    drawing.setAttribute("width", `${width}pt`);
    drawing.setAttribute("height", `${height}pt`);
    drawing.setAttribute("font-family", "DejaVu Sans, Helvetica, Arial, sans-serif");
    const text = new XMLSerializer().serializeToString(drawing);
    return text.replace(/var\(--fig-(\w+)\)/g, (whole, role) => colours[role] ?? whole);
  }

  for (const figure of document.querySelectorAll("figure")) {
    const svg = figure.querySelector("svg");
    const title = svg.querySelector("title").textContent;
    const tools = element("p", undefined, "tools");
    const saving = button("SVG", "", () => save(`${figure.dataset.name}.svg`, "image/svg+xml", svgFile(svg)));
    saving.setAttribute("aria-label", `Save as SVG: ${title}`);
    tools.append(saving);
    figure.append(tools);
    const hits = [...figure.querySelectorAll(".hits circle")];
    if (hits.length === 0) continue;
    figure.tabIndex = 0;
    figure.setAttribute("aria-label", `${title}: arrow keys tell its values`);
    let place = -1;
    figure.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!step || event.target !== figure) return;
      event.preventDefault();
      hits[place]?.classList.remove("on");
      place = place < 0 && step < 0 ? hits.length - 1 : (place + step + hits.length) % hits.length;
      hits[place].classList.add("on");
      showTip(hits[place], figure);
    });
    figure.addEventListener("focusout", () => {
      hits[place]?.classList.remove("on");
      place = -1;
    });
  }

  // ---- Tables: sorted by a click on a column; of each row the first line, the rest on demand.
  function sorts(table) {
    const heads = [...table.tHead.rows[0].cells].filter((cell) => cell.tagName === "TH");
    const bodies = [...table.tBodies].map((body) => [body, [...body.rows].filter((row) => !row.matches(".title"))]);
    if (bodies.every(([, rows]) => rows.length < 2)) return;
    heads.forEach((head, column) => {
      const name = head.textContent;
      const pressed = button(name, "sort", () => {
        const next = { descending: "ascending", ascending: "none" }[head.getAttribute("aria-sort")] ?? "descending";
        for (const other of heads) other.removeAttribute("aria-sort");
        if (next !== "none") head.setAttribute("aria-sort", next);
        const sign = next === "descending" ? -1 : 1;
        for (const [body, rows] of bodies) {
          const order = (a, b) => compare(a.cells[column], b.cells[column], sign);
          body.append(...(next === "none" ? rows : [...rows].sort(order)));
        }
      });
      head.replaceChildren(pressed);
    });
  }

  function compare(one, other, sign) {
    const [a, b] = [one, other].map((cell) => Number(cell.dataset.value ?? NaN));
    const text = one.textContent.localeCompare(other.textContent, "en", { numeric: true });
    if (Number.isNaN(a) && Number.isNaN(b)) return sign * text;
    // What is missing comes last whichever way up.
    if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) ? 1 : -1;
    return sign * (a - b);
  }

  function opens(row) {
    const head = row.querySelector("th[scope=row]");
    if (!head || !row.querySelector("td small")) return;
    const pressed = button(head.textContent, "row", () => {
      pressed.setAttribute("aria-expanded", String(row.classList.toggle("open")));
    });
    pressed.setAttribute("aria-expanded", "false");
    head.replaceChildren(pressed);
  }

  // On a phone a table that is stacked shows its first dataset; on a desk there is room for all.
  const narrow = matchMedia("(max-width: 44rem)").matches;

  function folds(body, place) {
    const head = body.querySelector("th.group");
    if (!head) return;
    const shut = place > 0 && (narrow || body.closest("table").matches(".compact"));
    body.classList.toggle("shut", shut);
    const pressed = button(head.textContent, "fold", () => {
      pressed.setAttribute("aria-expanded", String(!body.classList.toggle("shut")));
    });
    pressed.setAttribute("aria-expanded", String(!shut));
    head.replaceChildren(pressed);
  }

  for (const holder of document.querySelectorAll(".tabled")) {
    const tools = element("p", undefined, "tools");
    for (const table of holder.querySelectorAll("table")) {
      sorts(table);
      if (table.matches(".compact, .folds") && table.tBodies.length > 1) [...table.tBodies].forEach(folds);
      if (!table.matches(".compact")) continue;
      for (const row of table.querySelectorAll("tbody tr:not(.title)")) opens(row);
      const all = button("All intervals and tests", "", () => {
        all.setAttribute("aria-pressed", String(table.classList.toggle("all")));
      });
      all.setAttribute("aria-pressed", "false");
      tools.append(all);
    }
    const { latex, name } = holder.dataset;
    const copying = button("Copy LaTeX", "", () => copy(latex, copying));
    tools.append(copying, button("Save .tex", "", () => save(`${name}.tex`, "text/x-tex", latex)));
    holder.append(tools);
  }
  for (const word of document.querySelectorAll("table .term")) if (!word.querySelector("button")) word.tabIndex = 0;

  // ---- Single predictions, every model's answer to a claim side by side.
  const data = document.getElementById("predictions-data");
  if (data) browse(JSON.parse(data.textContent));

  function browse(data) {
    const PAGE = 8;
    const form = document.getElementById("predictions-form");
    const list = document.getElementById("answers");
    const status = document.getElementById("answers-status");
    const more = document.getElementById("more");

    const arms = [...new Set(data.runs.map((run) => run.arm))];
    const runsOf = (arm) => data.runs.filter((run) => run.arm === arm);
    const seeds = Math.max(...arms.map((arm) => runsOf(arm).length));

    function options(name, texts, values) {
      const select = document.getElementById(`predictions-${name}`);
      texts.forEach((text, place) => {
        const option = element("option", text);
        option.value = values ? values[place] : String(place);
        select.append(option);
      });
      document.getElementById(`predictions-${name}-field`).hidden = texts.length < 2;
    }
    options("of", arms, arms);
    options("seed", Array.from({ length: seeds }, (_, place) => arms.map((arm) => runsOf(arm)[place]?.name ?? "none").join(", ")));

    // Of each seed: the claims with the answers of every arm that has one.
    const joined = Array.from({ length: seeds }, (_, seed) => {
      const rows = new Map();
      arms.forEach((arm) => {
        for (const [place, base, answer] of runsOf(arm)[seed]?.rows ?? []) {
          if (!rows.has(place)) rows.set(place, { ...data.examples[place], place, given: [] });
          rows.get(place).given.push({ arm, base, answer });
        }
      });
      return [...rows.values()];
    });

    const right = (row, answer) => answer !== null && answer[0] === row.gold;
    const differs = (row) => {
      const answers = row.given.map(({ answer }) => answer);
      const compared = answers.length > 1 || row.given[0].base === null ? answers : [row.given[0].base, ...answers];
      return new Set(compared.map(([label]) => label)).size > 1;
    };
    const judge = {
      became_right: (row, { base, answer }) => base !== null && !right(row, base) && right(row, answer),
      became_wrong: (row, { base, answer }) => base !== null && right(row, base) && !right(row, answer),
      wrong: (row, { answer }) => !right(row, answer),
      confidently_wrong: (row, { answer }) => !right(row, answer) && (answer[1] ?? -1) >= data.confident,
      newly_na: (row, { base, answer }) => base !== null && base[0] !== "NA" && answer[0] === "NA",
      unreadable: (row, { answer }) => answer[0] === null,
    };
    function inFilter(name, of) {
      if (name === "all") return () => true;
      if (name === "differ") return differs;
      return (row) => row.given.some((one) => (!of || one.arm === of) && judge[name](row, one));
    }

    // The base model is one: its answer stands once, unless the runs recorded different ones.
    function answersOf(row) {
      const bases = row.given.filter(({ base }) => base !== null);
      const alike = new Set(bases.map(({ base }) => JSON.stringify(base))).size < 2;
      const shown = alike
        ? bases.slice(0, 1).map(({ base }) => ["base", base])
        : bases.map(({ arm, base }) => [`base of ${arm}`, base]);
      const alone = arms.length === 1 && bases.length > 0;
      return [...shown, ...row.given.map(({ arm, answer }) => [alone ? "trained" : arm, answer])];
    }

    function answer(name, [label, confidence], isRight) {
      const group = element("div");
      group.append(element("dt", name));
      group.append(element("dd", label ?? "none", label ? `label-${label}` : ""));
      group.append(element("dd", confidence === null ? "–" : confidence.toFixed(2)));
      group.append(element("dd", isRight ? "✓ right" : "✗ wrong", isRight ? "better" : "worse"));
      return group;
    }

    function item(row) {
      const { id, dataset, claim, evidence, gold } = row;
      const node = element("li");
      const text = element("div");
      text.append(element("p", claim, "claim"));
      text.append(element("p", `${dataset} · ${id}`, "origin"));
      if (evidence.length === 0) {
        text.append(element("p", "No evidence shown", "origin"));
      } else {
        const details = element("details");
        details.append(element("summary", `Evidence (${evidence.length})`));
        const sentences = element("ul");
        for (const sentence of evidence) sentences.append(element("li", sentence));
        details.append(sentences);
        text.append(details);
      }
      const answers = element("dl");
      const truth = element("div");
      truth.append(element("dt", "gold"), element("dd", gold, `label-${gold}`), element("dd", ""), element("dd", ""));
      answers.append(truth);
      for (const [name, given] of answersOf(row)) {
        answers.append(answer(name, given, right(row, given)));
        if (!given[2]) continue;
        const shown = element("details");
        shown.append(element("summary", `Output of ${name}, not in the asked form`), element("pre", given[2]));
        text.append(shown);
      }
      node.append(text, answers);
      return node;
    }

    function searched({ id, claim, evidence }, words) {
      const text = [id, claim, ...evidence].join("\n").toLowerCase();
      return words.every((word) => text.includes(word));
    }

    let found = [];
    let shown = 0;
    function show() {
      const next = found.slice(shown, shown + PAGE).map(item);
      list.append(...next);
      shown += next.length;
      more.hidden = shown >= found.length;
      const count = found.length === 1 ? "1 claim" : `${found.length.toLocaleString("en")} claims`;
      status.textContent = found.length === 0 ? "Nothing matches." : `${count}, ${shown} shown.`;
      return next;
    }

    function refresh() {
      const chosen = new FormData(form);
      const dataset = chosen.get("dataset");
      const words = chosen.get("search").toLowerCase().split(/\s+/).filter(Boolean);
      const matching = joined[Number(chosen.get("seed") ?? 0)].filter(
        (row) => (!dataset || row.dataset === dataset) && searched(row, words),
      );
      const of = chosen.get("of");
      for (const { value } of form.elements.filter) {
        document.getElementById(`count-${value}`).textContent = matching.filter(inFilter(value, of)).length;
      }
      found = matching.filter(inFilter(chosen.get("filter"), of));
      shown = 0;
      list.replaceChildren();
      show();
    }

    form.addEventListener("input", refresh);
    form.addEventListener("submit", (event) => event.preventDefault());
    more.addEventListener("click", () => {
      const [first] = show();
      // Keyboard users go on where the new entries begin.
      if (first) {
        first.tabIndex = -1;
        first.focus();
      }
    });
    form.hidden = false;
    refresh();
  }
})();
