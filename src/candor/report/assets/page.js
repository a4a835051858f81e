"use strict";
// Every text from a claim or a model enters the page through textContent alone.
(() => {
  const holder = document.getElementById("predictions-data");
  if (!holder) return;
  const data = JSON.parse(holder.textContent);
  const PAGE = 25;
  const [BASE, TRAINED] = [1, 2];

  const form = document.getElementById("predictions-form");
  const list = document.getElementById("answers");
  const status = document.getElementById("answers-status");
  const more = document.getElementById("more");
  const inFilter = {
    all: () => true,
    became_right: (row) => !right(row, BASE) && right(row, TRAINED),
    became_wrong: (row) => right(row, BASE) && !right(row, TRAINED),
    confidently_wrong: (row) => !right(row, TRAINED) && (row[TRAINED][1] ?? -1) >= data.confident,
    newly_na: (row) => row[BASE][0] !== "NA" && row[TRAINED][0] === "NA",
    unreadable: (row) => row[TRAINED][0] === null,
  };

  const example = (row) => data.examples[row[0]];
  function right(row, which) {
    return row[which][0] === example(row).gold;
  }

  function element(name, text, className) {
    const node = document.createElement(name);
    if (text !== undefined) node.textContent = text;
    if (className) node.className = className;
    return node;
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
    const { id, dataset, claim, evidence, gold } = example(row);
    const node = element("li");
    const text = element("div");
    text.append(element("p", claim, "claim"));
    text.append(element("p", `${dataset} · ${id}`, "origin"));
    const details = element("details");
    if (evidence.length === 0) {
      text.append(element("p", "No evidence shown", "origin"));
    } else {
      details.append(element("summary", `Evidence (${evidence.length})`));
      const sentences = element("ul");
      for (const sentence of evidence) sentences.append(element("li", sentence));
      details.append(sentences);
      text.append(details);
    }
    for (const [name, which] of [["base", BASE], ["trained", TRAINED]]) {
      const raw = row[which][2];
      if (!raw) continue;
      const shown = element("details");
      shown.append(element("summary", `Output of the ${name} model, not in the asked form`), element("pre", raw));
      text.append(shown);
    }
    const answers = element("dl");
    const truth = element("div");
    truth.append(element("dt", "gold"), element("dd", gold, `label-${gold}`), element("dd", ""), element("dd", ""));
    answers.append(truth, answer("base", row[BASE], right(row, BASE)));
    answers.append(answer("trained", row[TRAINED], right(row, TRAINED)));
    node.append(text, answers);
    return node;
  }

  function searched(row, words) {
    const { id, claim, evidence } = example(row);
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
    const count = found.length === 1 ? "1 prediction" : `${found.length.toLocaleString("en")} predictions`;
    status.textContent = found.length === 0 ? "Nothing matches." : `${count}, ${shown} shown.`;
    return next;
  }

  function refresh() {
    const chosen = new FormData(form);
    const rows = data.runs[Number(chosen.get("run") ?? 0)].rows;
    const dataset = chosen.get("dataset");
    const words = chosen.get("search").toLowerCase().split(/\s+/).filter(Boolean);
    const matching = rows.filter(
      (row) => (!dataset || example(row).dataset === dataset) && searched(row, words),
    );
    for (const [name, test] of Object.entries(inFilter)) {
      const count = document.getElementById(`count-${name}`);
      if (count) count.textContent = matching.filter(test).length;
    }
    found = matching.filter(inFilter[chosen.get("filter")]);
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
})();
