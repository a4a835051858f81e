"""The page as text: structure, order, what is missing, what is untrusted, how large it gets, how it contrasts."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fake_run import HOSTILE, results, steps, write_run

from candor.errors import PredictionError, RunError
from candor.files import read_json, write_json
from candor.report.arms import arms_of
from candor.report.figures import Figures
from candor.report.page import build_page, render_page, report_run
from candor.report.runs import SavedRun
from candor.report.style import DARK, PAPER

MAX_BYTES = 3_000_000

SECTIONS = [
    *("findings", "results", "transfer", "confidence", "effects"),
    *("training", "audit", "predictions", "provenance", "glossary"),
]
VOID = {"meta", "input", "br", "img", "link", "hr"}


class Outline(HTMLParser):
    """Tags with their attributes, headings, text by tag; refuses tags that do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.headings: list[tuple[int, str]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append((int(tag[1]), ""))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and re.fullmatch("h[1-6]", self._open[-1]):
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)
        if not {"script", "style"} & set(self._open):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = write_run(tmp_path_factory.mktemp("one") / "run")
    report_run(run)
    return run


@pytest.fixture(scope="module")
def html(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def outline(html: str) -> Outline:
    return Outline(html)


def test_sections_stand_in_the_order_of_reading(outline: Outline) -> None:
    assert [one["id"] for one in outline.all("section")] == SECTIONS
    assert [one["href"] for one in outline.all("a")][1:] == [f"#{name}" for name in SECTIONS]


def test_headings_are_ordered_and_none_is_empty(outline: Outline) -> None:
    levels = [level for level, _ in outline.headings]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    assert all(text.strip() for _, text in outline.headings)


def test_ids_are_unique_and_every_reference_has_its_target(outline: Outline) -> None:
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in outline.tags:
        targets = [*(attributes.get("aria-labelledby") or "").split(), attributes.get("for")]
        targets += [target.removeprefix("#") for target in [attributes.get("href") or ""] if target.startswith("#")]
        targets += re.findall(r"url\(#([^)]+)\)", " ".join(filter(None, attributes.values())))
        assert {target for target in targets if target} <= set(ids)


def test_table_headers_have_a_scope_and_tables_a_caption(outline: Outline) -> None:
    assert all(one.get("scope") in ("col", "row", "rowgroup") for one in outline.all("th"))
    assert len(outline.all("caption")) == len(outline.all("table")) > 5


def test_figures_have_title_and_description(html: str, outline: Outline) -> None:
    figures = html.count("<figure ")
    assert figures >= 20
    assert len([one for one in outline.all("svg") if one.get("role") == "img"]) == figures
    assert html.count("<desc ") == figures
    assert "NA recall" in outline.text
    assert "(+31 to +39)" in outline.text


def test_nothing_points_outside(html: str, outline: Outline) -> None:
    for _, attributes in outline.tags:
        for name in ("src", "href", "action", "data", "srcset"):
            assert (attributes.get(name) or "#").startswith("#")
    assert "@import" not in html
    assert not re.search(r"url\((?!#)", html)


def test_the_policy_allows_our_script_alone(html: str, outline: Outline) -> None:
    policy = next(one["content"] for one in outline.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    scripts = re.findall(r"<script>(.*?)</script>", html, flags=re.DOTALL)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"script-src 'sha256-{digest}';" in policy


def test_the_findings_come_with_their_numbers_and_what_speaks_against_them(outline: Outline) -> None:
    text = " ".join(outline.text.split())
    assert "39.0 % → 74.0 %" in text
    assert "Of 100 claims that lack evidence it says so of 74 (before: 39); of 100 that could be decided" in text
    assert "Holds" in text
    assert "Undecided" in text
    assert "20 NA examples became NA out of an answer without a label" in text
    assert "wiki: NA recall 39.0 → 74.0 %, +35.0 points (+31.0 to +39.0; 500 NA examples): met" in text
    assert "+35.0" in text
    assert "[+31.0, +39.0]" in text


def test_the_audit_tells_lengths_of_prompts_and_what_is_cut(html: str) -> None:
    assert "Length of prompts in tokens</span></caption>" in html
    cells = re.findall(r'<td data-label="([^"]+)"><span>([^<]+)</span></td>', html)
    expected = [("Median", "62"), ("95 %", "98"), ("Longest", "1,204"), ("Fit", "1,008")]
    expected += [("Too long", "3"), ("Sentences cut", "7")]
    assert expected == cells[cells.index(expected[0]) :][:6]


def test_a_report_writes_tables_and_figures_beside_the_page(folder: Path) -> None:
    tables = {path.name for path in (folder / "tables").iterdir()}
    assert {"figures.csv", "results.md", "results.tex", "transfer-na-recall.md"} <= tables
    figures = {path.name for path in (folder / "figures").iterdir()}
    for name in (
        "reliability-wiki",
        "risk-coverage-wiki",
        "confidence-wiki",
        "effect-na-recall",
        "training-mean-reward",
    ):
        assert {f"{name}.svg", f"{name}.png"} <= figures
    assert (folder / "figures" / "effect-na-recall.png").read_bytes().startswith(b"\x89PNG")


def test_the_same_run_gives_the_same_page(folder: Path, html: str, tmp_path: Path) -> None:
    again = build_page([folder], tmp_path / "again.html")
    assert again.read_text(encoding="utf-8") == html


def test_hostile_text_is_escaped_wherever_it_comes_from(tmp_path: Path) -> None:
    page = build_page([write_run(tmp_path / "run", hostile=True, datasets=("wiki",))], tmp_path / "report.html")
    html = page.read_text(encoding="utf-8")
    outline = Outline(html)
    assert len(outline.all("script")) == 2
    assert outline.all("img") == []
    assert "{{ 7 * 7 }}" in outline.text
    embedded = html.split('id="predictions-data">')[1].split("</script>")[0]
    assert HOSTILE in [example["claim"] for example in json.loads(embedded)["examples"]]


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ("results.json", "Not evaluated yet"),
        ("train", "No training log"),
        ("audit.json", "No audit"),
        ("predictions/trained", "No predictions of both models"),
    ],
)
def test_what_is_missing_is_said(tmp_path: Path, missing: str, said: str) -> None:
    run = write_run(tmp_path / "run", leave_out=(missing,), datasets=("wiki",))
    assert said in Outline(build_page([run], tmp_path / "report.html").read_text(encoding="utf-8")).text


def test_a_training_log_with_few_keys_gives_the_figures_it_can(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", leave_out=("train",), datasets=("wiki",))
    log = run / "train" / "metrics.jsonl"
    log.parent.mkdir()
    log.write_text('{"step": 0, "reward": 0.5}\n{"step": 1, "reward": 0.7, "kl": null}\n', encoding="utf-8")
    text = Outline(build_page([run], tmp_path / "report.html").read_text(encoding="utf-8")).text
    assert "Mean reward over training" in text
    assert re.search(r"Not in the training log: .*divergence from the base model", text)


def test_thousands_of_long_predictions_stay_below_three_megabytes(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", count=12_000, leave_out=("train",), datasets=("wiki",))
    page = build_page([run], tmp_path / "report.html")
    assert page.stat().st_size < MAX_BYTES
    assert re.search(r"[\d,]+ of 12,000 predictions, as many as fit", page.read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("size", "said"), [(1_200_000, "of 12,000 predictions"), (3_000_000, "All 12,000 are left out")]
)
def test_predictions_give_way_to_what_else_is_long(tmp_path: Path, size: int, said: str) -> None:
    run = write_run(tmp_path / "run", count=12_000, leave_out=("train",), datasets=("wiki",))
    (run / "manifest.json").write_text(json.dumps({"note": size * "x"}), encoding="utf-8")
    page = build_page([run], tmp_path / "report.html")
    assert page.stat().st_size < max(MAX_BYTES, size + 300_000)
    assert said in page.read_text(encoding="utf-8")


def test_figures_that_can_be_done_without_make_room(tmp_path: Path) -> None:
    values = results()
    values["comparisons"] = values["comparisons"][:1]
    runs = [SavedRun(name=name, folder=tmp_path, results=values, steps=steps(20)) for name in ("a", "b")]
    drawn = Figures.of(arms_of(runs))
    assert drawn.within(10**9) is drawn
    smaller = drawn.within(10**5)
    assert len(smaller.drawings) == len(drawn.drawings) - 14
    html = render_page(runs, smaller, title="many")
    assert "Each term by gold label is left out here" in html


def test_arms_and_seeds_are_put_side_by_side(tmp_path: Path) -> None:
    for arm, dataset, shift in (("alpha", "wiki", 0.02), ("beta", "revision", -0.3)):
        for seed in (0, 1):
            values = results(role_of={dataset: "in_domain"}, shift=shift * (seed + 1))
            shown = ("wiki", "revision")
            write_run(tmp_path / "both" / arm / f"seed-{seed}", values=values, seed=seed, count=10, datasets=shown)
    html = build_page([tmp_path / "both"], tmp_path / "report.html").read_text(encoding="utf-8")
    outline = Outline(html)
    text = " ".join(outline.text.split())
    assert "alpha on wiki 39.0 % → 77.0 %" in text
    assert "Means over the seeds" in text
    assert "76.0 to 78.0" in text
    assert "Holds in 2 of 2 seeds" in text
    assert "wiki: 30 answers of base hold no label; each counts as wrong. (all 4 runs)" in text
    assert [level for level, _ in outline.headings].count(1) == 1
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert len(html.encode()) < MAX_BYTES


def test_nothing_to_report_is_an_error_that_names_the_folder(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="at least one"):
        build_page([], tmp_path / "report.html")
    with pytest.raises(RunError, match="no run folder"):
        report_run(tmp_path)
    with pytest.raises(RunError, match="absent"):
        report_run(tmp_path / "absent")


def test_results_of_another_shape_are_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", count=1, datasets=("wiki",))
    values = read_json(run / "results.json")
    del values["comparisons"][0]["rows"]
    write_json(run / "results.json", values)
    with pytest.raises(PredictionError, match="rows"):
        build_page([run], tmp_path / "report.html")


def luminance(colour: str) -> float:
    channels = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    """Contrast ratio of WCAG 2.2, 1 to 21."""
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_computed_as_wcag_says() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)


@pytest.mark.parametrize("place", [0, 1], ids=["light", "dark"])
def test_text_and_marks_have_enough_contrast(html: str, place: int) -> None:
    css = re.search(r"<style>(.*?)</style>", html, flags=re.DOTALL)
    assert css is not None
    blocks = re.findall(r":root \{(.*?)\n\s*\}", css[1], flags=re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6});", blocks[place]))
    grounds = [colours["bg"], colours["surface"]]
    for name in ("text", "muted", "link", "good-ink", "bad-ink", "pass-ink", "fail-ink", "na-ink"):
        assert min(contrast(colours[name], ground) for ground in grounds) >= 4.5, name
    for name in ("good", "bad", "open"):
        assert contrast(colours[f"{name}-ink"], colours[f"{name}-bg"]) >= 4.5, name
    for role in (PAPER, DARK)[place]:
        needed = 4.5 if role in ("text", "muted") else 1.0 if role == "grid" else 3.0
        assert contrast(colours[f"fig-{role}"], colours["bg"]) >= needed, role


def test_the_report_needs_neither_torch_nor_an_engine() -> None:
    code = (
        "import sys, candor.report.page, candor.report.formats\n"
        "heavy = [name for name in sys.modules if name.split('.')[0] in ('torch', 'transformers', 'peft')"
        " or name.startswith('candor.engines')]\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
