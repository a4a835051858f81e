"""Collapse is named when it begins, once."""

from __future__ import annotations

import pytest

from candor.training.collapse import FIRST_STEPS, GROWN, SIGNS, WINDOW, CollapseWatch, FirstSteps

HEALTHY = {
    "share_PASS": 0.4,
    "share_FAIL": 0.3,
    "share_NA": 0.3,
    "prompt_variance": 0.04,
    "invalid": 0.0,
    "zero_variance": 0.1,
}


def _feed(watch: CollapseWatch, steps: int, **changed: float) -> list[str]:
    return [word for _ in range(steps) for word in watch.look({**HEALTHY, **changed})]


@pytest.mark.parametrize("sign", SIGNS, ids=lambda sign: sign.name)
def test_each_sign_is_named_once_when_its_window_is_full(sign: object) -> None:
    watch = CollapseWatch()
    bad = {sign.figure: 1.0 if sign.above else 0.0}
    assert _feed(watch, WINDOW - 1, **bad) == []
    (begun,) = _feed(watch, 1, **bad)
    assert begun.startswith(sign.name)
    assert f"{sign.figure} {bad[sign.figure]:.3f} over {WINDOW} steps" in begun
    assert _feed(watch, 3 * WINDOW, **bad) == []


def test_an_estimate_that_varies_by_more_than_its_bound_names_nothing() -> None:
    watch = CollapseWatch()
    noisy = [watch.look({"prompt_variance": 1e-3 * (-1) ** step}) for step in range(4 * WINDOW)]
    assert not any(noisy)
    quiet = [words for step in range(WINDOW) for words in watch.look({"prompt_variance": 2e-5 + 1e-6 * (step % 2)})]
    assert len(quiet) == 1
    assert "prompt_variance 2.1e-05 over" in quiet[0]


def test_it_is_named_again_after_it_was_over() -> None:
    watch = CollapseWatch()
    assert len(_feed(watch, WINDOW, share_NA=1.0)) == 1
    assert _feed(watch, WINDOW, share_NA=0.3) == []
    assert len(_feed(watch, WINDOW, share_NA=1.0)) == 1


def test_healthy_or_silent_runs_and_single_batches_give_no_warning() -> None:
    watch = CollapseWatch()
    assert _feed(watch, 5 * WINDOW) == []
    assert _feed(watch, 1, share_PASS=1.0, invalid=0.2) == []
    assert [watch.look({"loss": 1.0}) for _ in range(2 * WINDOW)] == [[]] * (2 * WINDOW)


def _first_steps(norms: list[float], losses: list[float]) -> list[str]:
    watch = FirstSteps()
    figures = enumerate(zip(norms, losses, strict=True))
    rows = [{"step": n, "grad_norm": norm, "loss": loss, "learning_rate": 1e-3} for n, (norm, loss) in figures]
    return [words for row in rows for words in watch.look(row)]


def test_a_gradient_that_grows_at_once_is_told_once_with_the_rate() -> None:
    (words,) = _first_steps([1.0, 1.2, 0.8, 9.0, 30.0, 125.0, 200.0, 300.0], [1.0] * 8)
    assert words.startswith("first steps: the gradient norm grew from 1 to ")
    assert "train.optimiser.learning_rate (now 1.0e-03)" in words


def test_a_large_gradient_that_stays_and_a_healthy_loss_say_nothing() -> None:
    falling = [2.0 - 0.05 * n + 0.1 * (-1) ** n for n in range(FIRST_STEPS)]
    assert _first_steps([125.0] * FIRST_STEPS, falling) == []
    assert _first_steps([1.0] * 3 + [0.9 * GROWN] * 5, [1.0] * 8) == []


def test_a_loss_that_rises_beyond_chance_is_told() -> None:
    rising = [1.0 + 0.1 * n + 0.01 * (-1) ** n for n in range(FIRST_STEPS)]
    (words,) = _first_steps([1.0] * FIRST_STEPS, rising)
    assert words.startswith("first steps: the loss rose from")
    noisy = [1.0 + (-1) ** n for n in range(FIRST_STEPS)]
    assert _first_steps([1.0] * FIRST_STEPS, noisy) == []


def test_later_steps_are_not_first_ones() -> None:
    watch = FirstSteps()
    assert not any(watch.look({"step": FIRST_STEPS + n, "loss": float(n), "grad_norm": 10.0**n}) for n in range(9))
