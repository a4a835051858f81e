"""Answers are read without ever failing, and the last label counts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candor.prompts import templates
from candor.prompts.answers import CONFIDENCES, Answer, label_position, parse
from candor.types import LABELS, Label, Validity

VERDICT = templates.get("verdict")
RATIONALE = templates.get("verdict-rationale")
REASONED = templates.get("verdict-reasoned")
TEMPLATES = [templates.get(name) for name in templates.names()]


@pytest.mark.parametrize("template", TEMPLATES, ids=templates.names())
def test_every_rendered_answer_is_read_back_clean(template: templates.Template) -> None:
    for label in LABELS:
        for confidence in CONFIDENCES:
            answer = parse(template.render_answer(label, confidence), template)
            assert answer == Answer(label, confidence, Validity.CLEAN)


@pytest.mark.parametrize(
    ("text", "label", "confidence"),
    [
        ("LABEL=NA\nCONF=0.4", Label.NA, 0.4),
        ("LABEL=NA", Label.NA, None),
        ("LABEL=NA CONF=0.40", Label.NA, 0.4),
        ("LABEL=NA\nCONF=0.400", Label.NA, 0.4),
        ("LABEL=NA\nCONF=1.01", Label.NA, None),
        ("LABEL=NA\nCONF=85", Label.NA, None),
        ("LABEL=NA\nCONF=1%", Label.NA, None),
        ("LABEL=NA\nCONF=0.9 %", Label.NA, None),
        ("LABEL=NA\nCONF=0.1.2", Label.NA, None),
        ("LABEL=NA\nCONF=0.9.", Label.NA, 0.9),
        ("LABEL=NA\nCONF=-0.5", Label.NA, None),
        ("LABEL=NA\nCONF=nan", Label.NA, None),
        ("LABEL: <FAIL>\nCONFIDENCE = <1>", Label.FAIL, 1.0),
        ("I think\nLABEL=PASS\nCONF=0.70", Label.PASS, 0.7),
        ("LABEL=PASS\nCONF=0.70\nand so on", Label.PASS, 0.7),
        ("LABEL=PASS\nCONF=0.10\nno: LABEL=FAIL\nCONF=0.90", Label.FAIL, 0.9),
        ("CONF=0.90\nLABEL=FAIL", Label.FAIL, None),
        ("LABEL=PASS\nCONF=0.70\nRATIONALE=", Label.PASS, 0.7),
    ],
)
def test_readable_answers(text: str, label: Label, confidence: float | None) -> None:
    assert parse(text, VERDICT) == Answer(label, confidence, Validity.READABLE)


@pytest.mark.parametrize("text", ["", "PASS", "LABEL=PASSED", "LABEL=pass", "LABEL=\nPASS", "CONF=0.50", "LABEL=MAYBE"])
def test_without_a_label_there_is_no_answer_and_no_na(text: str) -> None:
    assert parse(text, VERDICT) == Answer(None, None, Validity.NONE)


def test_the_form_is_that_of_the_template() -> None:
    assert parse("LABEL=NA\nCONF=0.40\nRATIONALE=", RATIONALE).validity is Validity.CLEAN
    assert parse("LABEL=NA\nCONF=0.40\nRATIONALE=because", RATIONALE).validity is Validity.READABLE
    assert parse("LABEL=NA\nCONF=0.40", RATIONALE).validity is Validity.READABLE
    assert parse("\n LABEL=NA\nCONF=0.40 \n", VERDICT).validity is Validity.CLEAN


def test_reasoning_may_come_first_where_it_is_asked_for() -> None:
    thought = "It is not LABEL=PASS\nCONF=0.90.\n\nRather:\n"
    assert parse(thought + "LABEL=NA\nCONF=0.40\n", REASONED) == Answer(Label.NA, 0.4, Validity.CLEAN)
    assert parse(thought + "LABEL=NA\nCONF=0.40", VERDICT) == Answer(Label.NA, 0.4, Validity.READABLE)
    assert parse(thought + "LABEL=NA\nCONF=0.40, I think", REASONED).validity is Validity.READABLE
    assert parse(thought + "LABEL=NA", REASONED).validity is Validity.READABLE


pieces = st.sampled_from(
    [
        "LABEL",
        "=",
        " ",
        "PASS",
        "NA",
        "FAIL",
        "\n",
        "CONF",
        "0.50",
        "1",
        ".",
        "%",
        "<",
        ">",
        "9" * 400,
        "-",
        "e9",
        "LABEL=NA",
    ]
)


@given(st.one_of(st.text(), st.lists(pieces, max_size=12).map("".join)), st.sampled_from(TEMPLATES))
def test_reading_never_fails(text: str, template: templates.Template) -> None:
    answer = parse(text, template)
    assert (answer.label is None) == (answer.validity is Validity.NONE) == (label_position(text) is None)
    assert answer.confidence is None or 0.0 <= answer.confidence <= 1.0
    assert answer.label is not None or answer.confidence is None
    if answer.label is not None:
        position = label_position(text)
        assert position is not None
        assert text[slice(*position)] == answer.label.value
    if answer.validity is Validity.CLEAN:
        assert answer.label is not None
        assert answer.confidence is not None
        written = template.render_answer(answer.label, answer.confidence)
        assert text.strip().endswith(written) if template is REASONED else text.strip() == written


NOTHING = Answer(None, None, Validity.NONE)


def confidence(text: str) -> float | None:
    """What is read of an answer whose label is fine."""
    answer = parse(f"LABEL=NA\nCONF={text}", VERDICT)
    assert answer.label is Label.NA
    return answer.confidence


def confidence_if_any(text: str) -> float | None:
    """The same, but that what stands behind may end a thought, to which all before it then belongs."""
    answer = parse(f"LABEL=NA\nCONF={text}", VERDICT)
    assert answer.label is Label.NA or (answer == NOTHING and any(mark in text for mark in ("<", "&lt;", "[", "◁")))
    return answer.confidence


# -------------------------------------------------------------------------------------------------- confidences


@pytest.mark.parametrize(
    "text",
    [
        *(
            "0,95",
            "0·95",
            "0. 95",
            "0:95",
            "0 . 95",
            "0.\n95",
            "0٫95",
            "0，95",
            "0'95",
            "0;95",
            "0 95",
            "0.9 5",
            "0.9５",
        ),
        *("1 %", "1%", "1\u00a0%", "1\u202f%", "1\u2009%", "1\u200b%", "1\n%", "1％", "1\\%", "1‰", "1&nbsp;%", "<1>%"),
        *("1 percent", "1 per cent", "1percent", "1 pct", "1 Prozent", "1 pour cent", "1 por ciento", "1 (percent)"),
        *("1/10", "1 / 10", "1⁄2", "1½", "1 out of 10", "1 out of ten", "1 of 10", "1 in 10", "1 in a hundred", "1:10"),
        *("1 chance in 10", "1 (out of 10)", "1 von 10", "1 tenth", "1 to 5", "1-5", "0 – 1", "0..1", "1 of the 10"),
        *("1e-3", "1E-3", "1 x 10^-3", "1 × 10⁻³", "0x1", "0.xx", "0.", "0...", "0…", "0 point 95", "0 comma nine"),
        *("1 (on a scale of 1 to 5)", "1 (scale 1-5)", "1 von zehn", "1 процент", "1 パーセント", "1 proc.", "1 yüzde"),
        *("0<br>.95", "0</b>.95", "0<b>.95</b>", "0{.}95", "0&#46;95", "0。95", "1 minus 0.05", "0 or 1", "0 to 1"),
        *("0.9 or 0.95", "0.9 to 0.95", "0.95 процент", "1 (my scale runs from 1 up)"),
        *("1.0 %", "1.00 percent", "1.0/10", "1.00 out of 10", "0.9e-1", "0.9,5", "0.9-1.0", "0.9 ± 0.1", "0.9/1"),
    ],
)
def test_a_number_that_goes_on_is_none(text: str) -> None:
    assert confidence(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("1", 1.0), ("0", 0.0), ("1.0", 1.0), ("<1>", 1.0), ("1>", 1.0), ('1"', 1.0), ("1.\nRATIONALE=", 1.0)),
        *(("1, RATIONALE=x", 1.0), ("1\nRATIONALE=10 things", 1.0), ("1 RATIONALE=", 1.0), ("1 because", 1.0)),
        *(("1 of course", 1.0), ("1 in this case", 1.0), ("0. No evidence.", 0.0), ("1 (certain)", 1.0)),
        *(("0.9.", 0.9), ("0.9, sure", 0.9), ("0.9?", 0.9), ("0.9; 2 sentences", 0.9), ("0.9\n[2] says", 0.9)),
        *(("0.9</s>", 0.9), ("0.9<|eot|>", 0.9), ("0.9**", 0.9), ("0.9—surely", 0.9), ("0.9 (a guess)", 0.9)),
        *(("0.95RATIONALE=", 0.95), ("0.95|RATIONALE=", 0.95), ("0.9\\nRATIONALE=", 0.9), ("0.5 or so", 0.5)),
    ],
)  # fmt: skip
def test_a_number_counts_where_nothing_continues_it(text: str, value: float | None) -> None:
    assert confidence(text) == value


def test_the_first_number_decides() -> None:
    assert confidence("1%\nor rather CONF=0.50") is None
    assert confidence("high\nCONF=0.50") == 0.5


spaces = st.text(st.sampled_from(" \t\u00a0\u2009\u202f\u200b"), max_size=3)
separators = st.sampled_from([",", "·", ":", "٫", "，", ".", "'", ";", "/", "-"])
units = st.sampled_from(
    [
        *("%", "％", "﹪", "‰", "percent", "per cent", "PERCENT", "percentage points", "pct", "Prozent", "pour cent"),
        *("out of 10", "out of ten", "in 10", "of 100", "/10", "/ 10", "⁄10", "tenths", "hundredths", "in a hundred"),
        *("e-3", "E-2", "x 10^-2"),
    ]
)  # fmt: skip
DIGITS = frozenset("0123456789")
whole = st.sampled_from(["0", "1", "00", "01"])
tails = st.sampled_from(["", "\nRATIONALE=", ".", " RATIONALE=because", ", I think"])


@given(whole, spaces, separators, spaces, st.integers(0, 99), tails)
def test_no_form_of_decimals_becomes_0_or_1(
    number: str, before: str, separator: str, behind: str, decimals: int, tail: str
) -> None:
    text = f"{number}{before}{separator}{behind}{decimals:02}{tail}"
    if before or behind or separator != ".":
        assert confidence(text) is None


@given(st.sampled_from(["0", "1", "1.0", "1.00", "0.5", "0.95"]), spaces, units, tails)
def test_no_unit_is_overlooked(number: str, before: str, unit: str, tail: str) -> None:
    assert confidence(f"{number}{before}{unit}{tail}") is None


@given(st.sampled_from(CONFIDENCES), st.text(max_size=30))
def test_a_number_is_read_as_it_stands_or_not_at_all(value: float, behind: str) -> None:
    if behind[:1] not in DIGITS:
        assert confidence_if_any(f"{value:.2f}{behind}") in (None, value)


@given(whole, st.text(min_size=1, max_size=30))
def test_a_whole_number_is_read_as_it_stands_or_not_at_all(number: str, behind: str) -> None:
    if behind[0] not in DIGITS and not (behind[0] == "." and behind[1:2] in DIGITS):
        assert confidence_if_any(number + behind) in (None, float(number))


# ------------------------------------------------------------------------------------------------------- labels


@pytest.mark.parametrize("behind", ["", "\nCONF=0.95", " CONF=0.95", ", CONF=0.95"])
@pytest.mark.parametrize(
    "text",
    [
        *("PASS or FAIL or NA", "PASS/FAIL/NA", "PASS|FAIL", "PASS OR FAIL", "PASS / FAIL", "PASS\\FAIL"),
        *("PASS, FAIL or NA", "PASS, FAIL, or NA", "PASS,FAIL,NA", "PASS, FAIL, NA", "PASS FAIL NA", "PASS; FAIL; NA"),
        *("<PASS|FAIL|NA>", "<PASS>/<FAIL>", 'PASS" or "FAIL', "PASS or LABEL=FAIL", "PASS or LABEL=FAIL or LABEL=NA"),
        *("PASS or maybe NA", "PASS, or rather FAIL", "PASS (or FAIL)", "PASS\nor FAIL", "PASS vs FAIL"),
        *("PASS  |  FAIL", "PASS and/or FAIL", "PASS／FAIL", "PASS · FAIL · NA", "PASS-FAIL"),
        *("PASS & FAIL", "PASS or N/A", "PASS or REFUTES", "PASS -> FAIL", "PASS → FAIL"),
        *("PASS~FAIL", "PASS oder FAIL", "PASS, maybe FAIL", "PASS, possibly NA", "PASS. Or FAIL", "PASS? FAIL?"),
        *("PASS xor FAIL", "PASS versus FAIL", "PASS vs. FAIL", "PASS eller FAIL", "PASS o FAIL", "PASS または FAIL"),
        *("PASS\u200b|\u200bFAIL", "PASS\u2060/FAIL", "PASS\n- FAIL\n- NA\n", "PASS\n* NA\n"),
        *("PASSED", "PASSÉ", "PASS_1", "PASSで"),
    ],
)  # fmt: skip
def test_a_choice_of_labels_is_no_label(text: str, behind: str) -> None:
    assert parse(f"LABEL={text}{behind}", VERDICT) == NOTHING
    assert label_position(f"LABEL={text}{behind}") is None


@pytest.mark.parametrize(
    "text",
    [
        *("PASS. FAIL would be wrong", "PASS, NA is not right", "PASS because FAIL is out", "PASS (not FAIL)"),
        *(
            "PASS, not FAIL",
            "PASS / CONF=0.9",
            "PASS|CONF=0.90",
            "PASS\n\nFAIL would be wrong",
            "PASS - NA is excluded",
            "PASS\n- FAIL would be wrong",
            "PASS rather than FAIL",
        ),
    ],
)
def test_other_labels_may_be_spoken_of(text: str) -> None:
    assert parse(f"LABEL={text}", VERDICT).label is Label.PASS


def test_neither_of_two_labels_is_one() -> None:
    assert parse("Neither LABEL=PASS nor LABEL=FAIL", VERDICT) == NOTHING


def test_signs_that_nobody_sees_hide_no_label() -> None:
    assert parse("LABEL=\u200bNA\u2060\nCONF=0.40", VERDICT) == Answer(Label.NA, 0.4, Validity.READABLE)


def test_a_choice_may_come_before_the_verdict_but_not_behind_it() -> None:
    form = "LABEL=PASS or FAIL or NA\nCONF=a number with two decimals"
    assert parse(f"{form}\n\nLABEL=FAIL\nCONF=0.90", VERDICT) == Answer(Label.FAIL, 0.9, Validity.READABLE)
    assert parse(f"LABEL=FAIL\nCONF=0.90\n\n{form}", VERDICT) == NOTHING


names = st.sampled_from([label.value for label in LABELS])
joints = st.sampled_from(
    ["/", " / ", "|", " | ", " or ", " OR ", ", or ", "／", " vs ", ">|<", '" or "', "\\", " or perhaps "]
)


@given(st.lists(names, min_size=2, max_size=4), joints, tails)
def test_no_choice_becomes_its_first_label(labels: list[str], joint: str, tail: str) -> None:
    assert parse(f"LABEL={joint.join(labels)}{tail}", VERDICT) == NOTHING


# ----------------------------------------------------------------------------------------------------- thoughts

TAGS = [
    *(("<think>", "</think>"), ("<THINK>", "</THINK>"), ("<thinking>", "</thinking>")),
    *(("<seed:think>", "</seed:think>"), ("[THINK]", "[/THINK]"), ("◁think▷", "◁/think▷")),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    *(("<|channel>thought\n", "<channel|>"), ("<|START_THINKING|>", "<|END_THINKING|>")),
    *(("<|inner_prefix|>", "<|inner_suffix|>"), ("<|reasoning_start|>", "<|reasoning_end|>"), ("<cot>", "</cot>")),
    *(("<unused94>thought\n", "<unused95>"), ("<longcat_think>", "</longcat_think>"), ("<|thought|>", "<|/thought|>")),
    *(("&lt;think&gt;", "&lt;/think&gt;"), ("<think\n>", "</think\n>"), ("<inner_monologue>", "</inner_monologue>")),
    *(('<think type="brief">', "</think>"), ("< analysis >", "</ analysis >"), ("<reason>", "</reason>")),
]  # fmt: skip


@pytest.mark.parametrize(("begin", "end"), TAGS)
@pytest.mark.parametrize("template", [VERDICT, REASONED], ids=["verdict", "verdict-reasoned"])
def test_a_thought_is_no_answer(begin: str, end: str, template: templates.Template) -> None:
    for thought in ("First LABEL=FAIL, or rather", "LABEL=FAIL\nCONF=0.90", "\nLABEL=FAIL\nCONF=0.90\n"):
        assert parse(begin + thought, template) == NOTHING
        assert parse(begin + thought + end, template) == NOTHING
        assert parse(thought + end, template) == NOTHING  # where the prompt began it
        answer = parse(f"{begin}{thought}{end}\nLABEL=NA\nCONF=0.40", template)
        assert (answer.label, answer.confidence) == (Label.NA, 0.4)
        assert (answer.validity is Validity.CLEAN) == template.reasons


def test_channels_without_their_control_tokens_are_told_apart() -> None:
    """Decoding leaves special tokens out, and the names of gpt-oss' channels stay."""
    thought = "analysisThe claim may hold: LABEL=FAIL\nCONF=0.90"
    assert parse(thought, VERDICT) == NOTHING
    found = parse(f"{thought}assistantfinalLABEL=NA\nCONF=0.40", VERDICT)
    assert found == Answer(Label.NA, 0.4, Validity.READABLE)
    assert parse("analysis: LABEL=NA\nCONF=0.40", VERDICT).label is Label.NA


def test_an_answer_may_come_before_a_thought() -> None:
    assert parse("LABEL=NA\nCONF=0.40\n<think>LABEL=PASS", VERDICT) == Answer(Label.NA, 0.4, Validity.READABLE)


@given(
    st.lists(st.sampled_from(["<think>", "</think>", "LABEL=NA", "\nCONF=0.40", " text ", "LABEL=PASS"]), max_size=9)
)
def test_only_what_stands_outside_of_thoughts_is_read(parts: list[str]) -> None:
    text = "".join(parts)
    place = label_position(text)
    if place is not None:
        assert text[slice(*place)] in ("NA", "PASS")
        before, behind = text[: place[0]], text[place[1] :]
        assert before.rfind("<think>") <= before.rfind("</think>")
        assert "</think>" not in behind or behind.find("<think>") in range(behind.find("</think>"))


# ------------------------------------------------------------------------------------------------------- bounds


@pytest.mark.parametrize(
    "piece", [" ", "\n", "<", '"', "PASS", " or", ",", "LABEL=", "LABEL=PASS ", "<think>", "</think>", "CONF=0 "]
)
def test_long_answers_are_read_all_the_same(piece: str) -> None:
    for start in ("", "LABEL=PASS", "LABEL=PASS\nCONF=0", "LABEL=PASS\nCONF=0.95"):
        answer = parse(start + piece * 50_000, VERDICT)
        assert answer.confidence in (None, 0.0, 0.95)
