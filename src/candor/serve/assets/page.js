"use strict";

const byId = (id) => document.getElementById(id);
const HEADLINES = { PASS: "Supported", FAIL: "Refuted", NA: "Not enough information" };
const MEANINGS = {
  PASS: "The evidence shows that the claim is true.",
  FAIL: "The evidence shows that the claim is false.",
  NA: "The evidence does not say whether the claim is true.",
};
const percent = (p) => `${(100 * p).toFixed(1)} %`;

function show(verdict) {
  const unsure = verdict.accepted === false;
  const risk = Number(byId("verdict").dataset.risk);
  byId("verdict").dataset.label = verdict.label;
  byId("headline").textContent = unsure ? "I don't know" : HEADLINES[verdict.label];
  byId("meaning").textContent = unsure
    ? `The model leans to “${HEADLINES[verdict.label].toLowerCase()}”, but not surely enough: of answers like this one, more than ${+(100 * risk).toFixed(1)} % may be wrong.`
    : MEANINGS[verdict.label];
  const parts = [];
  for (const [label, p] of Object.entries(verdict.label_probs)) {
    byId("bar").querySelector(`.${label}`).style.flex = `${p} 1 0`;
    byId("probs").querySelector(`.${label} dd`).textContent = percent(p);
    parts.push(`${label} ${percent(p)}`);
  }
  byId("bar").setAttribute("aria-label", parts.join(", "));
  byId("confidence").textContent = verdict.confidence.toFixed(2);
  byId("mass").textContent = percent(verdict.valid_mass);
  const { evidence_dropped: dropped, evidence_cut: cut } = verdict;
  const lost = [];
  if (cut > 0) lost.push(`a sentence was cut by ${cut} characters`);
  if (dropped > 0) lost.push(`the last ${dropped === 1 ? "sentence was" : `${dropped} sentences were`} left out`);
  byId("cut").hidden = lost.length === 0;
  byId("cut").textContent = `The evidence was too long: ${lost.join(", and ")}.`;
  byId("unfamiliar").hidden = verdict.unfamiliar !== true;
  byId("verdict").hidden = false;
}

function complain(words) {
  byId("problem").textContent = words;
  byId("problem").hidden = false;
}

async function ask(event) {
  event.preventDefault();
  const button = byId("ask").querySelector("button");
  const headers = { "Content-Type": "application/json" };
  if (byId("token")) headers.Authorization = `Bearer ${byId("token").value}`;
  const evidence = byId("evidence").value.split("\n").map((line) => line.trim()).filter(Boolean);
  byId("problem").hidden = true;
  byId("verdict").hidden = true;
  button.disabled = true;
  try {
    const body = JSON.stringify({ claim: byId("claim").value, evidence });
    const answer = await fetch("verify", { method: "POST", headers, body });
    const content = await answer.json();
    if (answer.ok) show(content);
    else complain(`No verdict: ${content.detail}.`);
  } catch {
    complain("No verdict: the service does not answer.");
  } finally {
    button.disabled = false;
  }
}

byId("ask").addEventListener("submit", ask);
byId("ask").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) byId("ask").requestSubmit();
});
