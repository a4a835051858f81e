"""Drawn continuations: their gradient is right on average, and that of the whole where all are drawn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from candor.engines.base import Tokens
from candor.engines.tinker.drawn import Tree, chances, draw, sizes, taken_apart, tree_of


def made(seed: int = 0, *, out_of_form: float = 0.1) -> Tree:
    """Three labels with 4 x 4 answers behind each, their digits' probabilities and a gradient of each answer."""
    rng = np.random.default_rng(seed)
    logits = {node: rng.normal(size=4) for node in [(), *((k,) for k in range(3)), *np.ndindex(3, 4)]}
    share = np.log1p(-out_of_form)

    def logprob(node: tuple[int, ...]) -> float:
        known = logits[node[:-1]][: 3 if len(node) == 1 else 4]
        return float(special.log_softmax(known)[node[-1]]) + share

    answers: list[Tokens] = [(k, i, j) for k in range(3) for i in range(4) for j in range(4)]
    logprobs = [np.array([logprob(answer[:end]) for end in (1, 2, 3)]) for answer in answers]
    rewards = rng.normal(-1.0, 1.0, len(answers))
    gradients = [np.full(3, np.exp(values.sum()) * r) for values, r in zip(logprobs, rewards, strict=True)]
    return tree_of(answers, logprobs, gradients)


def test_what_continuations_share_is_added_up() -> None:
    ones = np.ones(2)
    tree = tree_of([(1, 2), (1, 3), (1, 2)], [np.log([0.5, 0.25])] * 3, [ones, 2 * ones, ones])
    assert tree.leaves == [(1, 2), (1, 3)]
    assert tree.gradients == {(1,): 4.0, (1, 2): 2.0, (1, 3): 2.0}


def test_a_part_is_a_multiple_of_the_probabilities_and_the_rest_adds_up_to_nothing() -> None:
    tree = made()
    differing, common = taken_apart(tree)
    for node, gradient in tree.gradients.items():
        assert differing[node] + common[node] == pytest.approx(gradient)
    for fork in {node[:-1] for node in tree.gradients}:
        nodes = [node for node in tree.gradients if node[:-1] == fork]
        assert sum(differing[node] for node in nodes) == pytest.approx(0.0, abs=1e-12)
        assert np.ptp([common[node] / np.exp(tree.logprobs[node]) for node in nodes]) < 1e-9


def test_no_chance_is_above_one_and_all_add_up_to_the_count() -> None:
    rng = np.random.default_rng(1)
    for count in (1, 5, 20, 47):
        found = chances(rng.pareto(0.7, 48), count)
        assert found.max() <= 1.0
        assert found.sum() == pytest.approx(count)
    assert chances(np.ones(4), 9).tolist() == [1.0] * 4


def test_a_node_counts_in_the_leaves_behind_it() -> None:
    tree = made()
    differing, _ = taken_apart(tree)
    assert sizes(tree, differing).sum() == pytest.approx(sum(map(abs, differing.values())))


@pytest.mark.parametrize(("count", "out_of_form"), [(1, 0.0), (4, 0.1), (12, 0.3)])
def test_on_average_every_node_has_its_gradient(count: int, out_of_form: float) -> None:
    tree = made(2, out_of_form=out_of_form)
    nodes = list(tree.gradients)
    place = {node: index for index, node in enumerate(nodes)}
    draws = np.zeros((6000, len(nodes)))
    trained = []
    for turn, found in enumerate(draws):
        rows = draw(tree, count, np.random.default_rng(turn))
        trained.append(len(rows))
        for leaf, values in rows:
            assert leaf in tree.leaves
            for end, value in enumerate(values, start=1):
                found[place[leaf[:end]]] += value
    wanted = np.array([tree.gradients[node] for node in nodes])
    off = (draws.mean(axis=0) - wanted) / (draws.std(axis=0) / np.sqrt(len(draws)) + 1e-12)
    assert np.abs(off).max() < 4.5  # of 63 nodes: chance alone exceeds it once in two thousand tests
    often = max(count / 48, 1 - (1 - out_of_form) ** 3)
    assert np.mean(trained) == pytest.approx(count * (1 - often) + 48 * often, rel=0.1)


def test_all_are_taken_as_they_are() -> None:
    tree = made()
    found = {leaf[: end + 1]: 0.0 for leaf in tree.leaves for end in range(3)}
    for leaf, values in draw(tree, 48, np.random.default_rng(0)):
        for end, value in enumerate(values, start=1):
            found[leaf[:end]] += value
    assert found == tree.gradients
