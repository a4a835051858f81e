"""Differences of shares on the same rows: exact where few rows differ, honest where rows come in groups."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest
from scipy import optimize, special, stats
from statsmodels.stats.contingency_tables import mcnemar

from candor.metrics.paired_share import FEWEST_DISCORDANT, PairedShare, paired_share_difference, sign_flip


def found(rises: int, falls: int, n: int, *, repeat: int = 1, margin: float = 0.0, both: int = 0) -> PairedShare:
    """Of n rows, each ``repeat`` times in a group of its own."""
    base, trained = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
    trained[:rises] = base[rises : rises + falls] = True
    base[n - both :] = trained[n - both :] = True
    rows = np.repeat(np.arange(n), repeat)
    return paired_share_difference(base[rows], trained[rows], rows, margin=margin)


def test_two_of_two_decide_nothing() -> None:
    share = found(2, 0, 2)
    assert (share.difference, share.discordant, share.enough) == (1.0, 2, False)
    assert share.p == 0.25
    assert share.p_two_sided == 0.5
    assert share.interval is not None
    assert share.interval[0] < 0 < share.interval[1] == 1.0
    assert share.needed is not None
    assert share.needed > 10


@pytest.mark.parametrize(("rises", "n"), [(3, 29), (4, 60)])
def test_a_handful_that_all_point_one_way_is_not_enough(rises: int, n: int) -> None:
    share = found(rises, 0, n)
    assert share.p == pytest.approx(0.5**rises)
    assert not share.enough
    assert found(FEWEST_DISCORDANT, 0, n).enough


def test_nothing_that_differs_is_no_certainty() -> None:
    share = found(0, 0, 10)
    assert (share.difference, share.p, share.p_two_sided, share.needed) == (0.0, 1.0, 1.0, None)
    assert share.interval is not None
    assert share.interval[0] < -0.2
    assert share.interval[1] > 0.2


@pytest.mark.parametrize(("rises", "falls"), [(2, 7), (5, 4), (0, 9), (1, 0)])
def test_groups_of_one_row_have_mcnemars_exact_p(rises: int, falls: int) -> None:
    expected = mcnemar([[20, falls], [rises, 10]], exact=True)
    assert found(rises, falls, 60).p_two_sided == pytest.approx(expected.pvalue)


@pytest.mark.parametrize(("more", "fewer"), [(7, 3), (9, 3), (19, 5), (25, 15)])
def test_from_ten_discordant_rows_on_a_tie_counts_by_half(more: int, fewer: int) -> None:
    assert FEWEST_DISCORDANT == 10
    tail, tie = stats.binom.sf(more, more + fewer, 0.5), stats.binom.pmf(more, more + fewer, 0.5)
    assert found(more, fewer, 90).p == pytest.approx(tail + tie / 2)
    assert found(fewer, more, 90).p_fall == pytest.approx(tail + tie / 2)


@pytest.mark.parametrize("n", [40, 60, 100])
def test_p_of_few_discordant_rows_is_small_about_as_often_as_it_says(n: int) -> None:
    """Over every table of n rows of which three of ten differ: ties in full would give .024, .029 and .031."""
    falls, rises = np.meshgrid(np.arange(n + 1), np.arange(n + 1))
    inside = falls + rises <= n
    chance = np.exp(
        special.gammaln(n + 1)
        - sum(special.gammaln(part[inside] + 1) for part in (rises, falls, n - rises - falls))
        + (rises + falls)[inside] * math.log(0.15)
        + (n - rises - falls)[inside] * math.log(0.7)
    )
    sums = [np.repeat([1.0, -1.0], pair) for pair in zip(rises[inside].tolist(), falls[inside].tolist(), strict=True)]
    small = np.array([2 * min(sign_flip(part)) < 0.05 for part in sums])
    assert 0.035 < float(chance[small].sum()) <= 0.05


def test_signs_are_flipped_by_group() -> None:
    """Every way to flip the signs of groups whose sums have different sizes, counted."""
    sums = np.array([3.0, 1.0, -2.0, 0.0, 5.0, 1.0])
    totals = [float(np.dot(signs, sums)) for signs in product((-1, 1), repeat=6)]
    assert sign_flip(sums) == pytest.approx((np.mean(np.array(totals) >= 8), np.mean(np.array(totals) <= 8)))
    assert sign_flip(np.array([0.0])) == (1.0, 1.0)


def test_many_groups_have_the_normal_p() -> None:
    draw = np.random.default_rng(0)
    sums = draw.integers(-3, 5, 4_000).astype(float)
    z = sums.sum() / math.sqrt(float(sums @ sums))
    low = sums - 1.0
    z_low = low.sum() / math.sqrt(float(low @ low))
    assert sign_flip(sums)[0] == pytest.approx(stats.norm.sf(z), abs=1e-6)
    assert sign_flip(low)[1] == pytest.approx(stats.norm.cdf(z_low), abs=2e-3)


@pytest.mark.parametrize(("rises", "falls", "n"), [(0, 1, 44), (9, 4, 60), (30, 80, 300), (5, 0, 12), (7, 0, 7)])
def test_the_interval_inverts_the_score_test(rises: int, falls: int, n: int) -> None:
    """Tango's (1998) statistic with the likeliest share of falls searched for, is 1.96 at both ends."""

    def score(difference: float) -> float:
        def log_likelihood(fall: float) -> float:
            shares = np.array([fall + difference, fall, 1 - 2 * fall - difference])
            counts = np.array([rises, falls, n - rises - falls])
            return -float(special.xlogy(counts, np.maximum(shares, 0.0)).sum())

        low, high = max(0.0, -difference), (1 - difference) / 2
        best = optimize.minimize_scalar(log_likelihood, bounds=(low, high), method="bounded", options={"xatol": 1e-12})
        error = math.sqrt((2 * best.x + difference * (1 - difference)) / n)
        return ((rises - falls) / n - difference) / error

    interval = found(rises, falls, n).interval
    assert interval is not None
    for end, expected in zip(interval, (1.959964, -1.959964), strict=True):
        if abs(end) < 1:
            assert score(end) == pytest.approx(expected, abs=1e-3)


def test_repeated_rows_say_no_more() -> None:
    once, often = found(20, 6, 80), found(20, 6, 80, repeat=6)
    assert often.effective == pytest.approx(80, rel=0.02)
    assert often.p == pytest.approx(once.p)
    assert (often.discordant, often.examples, often.groups) == (26, 480, 80)
    assert often.interval == pytest.approx(once.interval, abs=0.01)
    assert once.needed is not None
    assert often.needed == pytest.approx(6 * once.needed, rel=0.02)


def test_a_rise_at_the_margin_is_not_above_it() -> None:
    share = found(60, 20, 400, margin=0.10)
    assert share.difference == pytest.approx(0.10)
    assert share.p == pytest.approx(0.5, abs=0.02)
    assert share.needed is None
    assert found(90, 10, 400, margin=0.10).p < 0.001


def test_no_loss_needs_rows_not_a_good_value() -> None:
    """A difference of 0 among 40 rows excludes no fall by two points; among 1,000 that all agree it does."""
    few, many = found(3, 3, 40, margin=-0.02), found(0, 0, 1_000, margin=-0.02)
    assert few.p > 0.2
    assert not few.enough
    assert many.p < 1e-4
    assert many.enough
    assert many.interval is not None
    assert many.interval[0] > -0.02
    assert not found(0, 0, 100, margin=-0.02).enough


@pytest.mark.parametrize("n", [2, 5, 10, 30])
@pytest.mark.parametrize("margin", [0.0, 0.1, -0.05])
def test_few_rows_give_no_more_false_alarms_than_said(n: int, margin: float) -> None:
    """Every table of n rows, weighed by its chance at the margin, at several shares of discordant rows."""
    p = {
        (rises, falls): found(rises, falls, n, margin=margin)
        for rises in range(n + 1)
        for falls in range(n + 1 - rises)
        if n < 30 or rises + falls <= 16
    }
    for fall in (0.1, 0.2, 0.4):
        shares = (fall + margin, fall, 1 - 2 * fall - margin)
        alarms = sum(
            float(stats.multinomial.pmf([rises, falls, n - rises - falls], n, shares))
            for (rises, falls), share in p.items()
            if share.p <= 0.05
        )
        assert alarms <= 0.05


def test_few_rows_that_differ_do_not_make_the_interval_wider_than_need_be() -> None:
    """Six of 200 rows differ, each in a group of its own: the interval is about that of single rows, p is not."""
    base, trained = np.zeros(200, dtype=bool), np.zeros(200, dtype=bool)
    base[[0, 5]] = trained[[20, 45, 90, 150]] = True
    single = paired_share_difference(base, trained, np.arange(200), margin=-0.05)
    grouped = paired_share_difference(base, trained, np.arange(200) // 5, margin=-0.05)
    assert grouped.effective == pytest.approx(200, rel=0.02)
    assert grouped.interval is not None
    assert single.interval is not None
    assert grouped.interval == pytest.approx(single.interval, abs=0.02)  # Student's quantile is larger
    assert single.p < 0.001
    assert grouped.p > 0.01  # as if there were 40 rows


def test_one_group_has_no_interval() -> None:
    share = paired_share_difference([0, 1, 0], [1, 1, 0], np.zeros(3, dtype=np.int64))
    assert share.interval is None
    assert share.reason == "fewer than two groups of rows: nothing to resample"


def test_no_rows_have_a_reason() -> None:
    share = paired_share_difference([], [], np.array([], dtype=np.int64))
    assert math.isnan(share.difference)
    assert math.isnan(share.p_two_sided)
    assert share.reason == "there are no examples"


@pytest.mark.parametrize("wrong", [{"margin": 1.0}, {"margin": -1.0}, {"level": 1.0}])
def test_what_is_out_of_range_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"a margin in \(-1, 1\) and a level in \(0, 1\)"):
        paired_share_difference([0, 1], [1, 1], np.arange(2), **wrong)
    with pytest.raises(ValueError, match="needs equal lengths"):
        paired_share_difference([0, 1], [1, 1], np.arange(3))


def test_the_interval_holds_the_truth_in_groups() -> None:
    """Groups of one to ten rows, two thirds of which hold rows that are alike: 95 % of 300 draws, within chance."""
    draw = np.random.default_rng(2)
    held = 0
    for _ in range(300):
        group = np.repeat(np.arange(60), draw.integers(1, 11, 60))
        place = np.where(draw.random(group.size) < 0.66, draw.random(60)[group], draw.random(group.size))
        interval = paired_share_difference(place > 0.85, place < 0.25, group).interval
        assert interval is not None
        held += interval[0] <= 0.10 <= interval[1]
    assert 0.92 <= held / 300 <= 0.985
