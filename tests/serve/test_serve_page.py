"""The page of a served model in a real browser."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chromium import Tab
from playwright.sync_api import Page
from running import FakeVerifier, running

from candor.metrics.threshold import Choice
from candor.prompts.encoding import EncodedPrompt
from candor.serve.settings import Settings
from candor.types import Label
from candor.verifier import Verdict
from candor.verifier.abstention import Abstention

HOSTILE = "<img src=x onerror='window.hacked = 1'>"


class Cautious(FakeVerifier):
    """Accepts claims of more than ten signs."""

    name = HOSTILE
    abstention = Abstention(0.1, 0.9, ("wiki",), Choice(0.8, 500, 200, 11, 0.09, None))  # type: ignore[assignment]

    def judge(self, encoded: list[EncodedPrompt]) -> list[Verdict]:
        return [
            replace(
                verdict,
                label=Label.FAIL,
                confidence=0.875,
                label_probs=(0.0625, 0.8125, 0.125),
                accepted=len(one.tokens) > 10,
                evidence_dropped=max(0, verdict.evidence_dropped - 3),
            )
            for verdict, one in zip(super().judge(encoded), encoded, strict=True)
        ]


def text(page: Page, name: str) -> str:
    return page.locator(f"#{name}").inner_text()


def ask(page: Page, claim: str, evidence: str) -> None:
    page.locator("#claim").fill(claim)
    page.locator("#evidence").fill(evidence)
    page.locator("button").click()
    page.locator("button:enabled").wait_for()
    page.locator("#verdict, #problem").filter(visible=True).wait_for()


def test_a_person_asks_and_sees_the_verdict(tab: Tab) -> None:
    with running(Cautious()) as service:
        page = tab.open(f"{service.url}/")
        assert page.locator("#verdict").is_hidden()
        ask(page, "Owls are fish.", "Owls are birds.\n\n  They fly at night.  ")
        assert text(page, "headline") == "Refuted"
        assert text(page, "confidence") == "0.88"
        assert page.locator("#bar").get_attribute("aria-label") == "PASS 6.3 %, FAIL 81.3 %, NA 12.5 %"
        width = "document.querySelector('#bar .%s').getBoundingClientRect().width"
        shares = [page.evaluate(width % label) for label in ("PASS", "FAIL", "NA")]
        assert [share / sum(shares) for share in shares] == pytest.approx([0.0625, 0.8125, 0.125], abs=0.01)
        assert page.locator("#cut").is_hidden()
        asked = {url for url in tab.requests if not url.startswith("data:")}
        assert asked == {f"{service.url}/{path}" for path in ("", "page.css", "page.js", "verify")}
        assert tab.messages == []


def test_what_is_not_accepted_reads_i_dont_know(tab: Tab) -> None:
    with running(Cautious()) as service:
        page = tab.open(f"{service.url}/")
        ask(page, "Owls fly.", "\n".join(f"sentence {index}" for index in range(5)))
        assert text(page, "headline") == "I don't know"
        assert "leans to “refuted”" in text(page, "meaning")
        assert "the last 2 sentences were left out" in text(page, "cut")


def test_hostile_names_and_claims_stay_text(tab: Tab) -> None:
    with running(Cautious()) as service:
        page = tab.open(f"{service.url}/")
        assert HOSTILE in (page.locator("header .note").text_content() or "")
        ask(page, HOSTILE, HOSTILE)
        assert page.evaluate("typeof window.hacked") == "undefined"
        assert page.evaluate("document.images.length") == 0


def test_problems_are_told(tab: Tab) -> None:
    with running(FakeVerifier(), Settings(token="sesame")) as service:
        page = tab.open(f"{service.url}/")
        page.locator("#token").fill("wrong")
        ask(page, "Owls fly.", "")
        assert text(page, "problem") == "No verdict: a bearer token is needed."
        page.locator("#token").fill("sesame")
        ask(page, "unusable", "")
        assert text(page, "problem") == "No verdict: this claim cannot be used."
        ask(page, "Owls fly.", "")
        assert text(page, "headline") == "Not enough information"
        assert page.locator("#problem").is_hidden()


def test_it_fits_a_phone(tab: Tab) -> None:
    with running(Cautious()) as service:
        page = tab.open(f"{service.url}/", width=390, height=844)
        ask(page, "Owls are fish.", "Owls are birds.")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
