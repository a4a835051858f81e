"""Names of figures agree with each other and with what they say of themselves."""

from __future__ import annotations

from candor.metrics.names import METRICS, PROBED, STATED, TESTED


def test_every_name_is_kept_under_itself_and_has_a_title_of_its_own() -> None:
    assert all(info.name == name for name, info in METRICS.items())
    assert len({info.title for info in METRICS.values()}) == len(METRICS)
    assert len(set(STATED)) == len(STATED)
    assert len(set(TESTED)) == len(TESTED)


def test_what_is_stated_and_probed_is_all_there_is() -> None:
    assert set(METRICS) == {*STATED, *PROBED, "probe_agreement"}
    # A probe always gives a label and a confidence.
    assert {name.removeprefix("probe_") for name in PROBED} == set(STATED) - {
        "invalid_rate",
        "confidence_missing_rate",
        "brier_all",
    }


def test_probed_figures_are_described_like_the_stated_ones() -> None:
    for name in PROBED:
        probed, stated = METRICS[name], METRICS[name.removeprefix("probe_")]
        assert (probed.better, probed.family, probed.percent) == (stated.better, stated.family, stated.percent)
        assert probed.title == f"Probe: {stated.title}"


def test_errors_and_losses_are_better_down_and_scores_up() -> None:
    down = {name for name in STATED if METRICS[name].better == "down"}
    assert down >= {
        "augrc",
        "rms_calibration_error",
        "false_na_rate",
        "brier",
        "brier_reliability",
        "ece",
        "adaptive_ece",
        "aurc",
        "excess_aurc",
        "invalid_rate",
    }
    up = {name for name in STATED if METRICS[name].better == "up"}
    assert up >= {"accuracy", "na_recall", "auroc", "log_score", "brier_resolution", "coverage_at_5"}


def test_only_what_has_a_better_side_or_is_asked_for_is_tested() -> None:
    assert set(TESTED) <= set(METRICS)
    assert {name for name in TESTED if METRICS[name].better == "neither"} == {"confidence_std"}


def test_calibration_errors_are_not_tested_and_over_abstention_is() -> None:
    assert not {name for name in TESTED if "ece" in name or "calibration" in name or "reliability" in name}
    assert {"na_recall", "na_precision", "false_na_rate"} <= set(TESTED)
