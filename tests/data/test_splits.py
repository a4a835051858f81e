from __future__ import annotations

import itertools
import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fever_files import claim, write_fever
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from candor.data.splits import Splits, check_asked, check_disjoint, make_splits
from candor.data.text import normalise_claim
from candor.errors import RecipeError, SplitError
from candor.recipe.data import SPLITS, DataConfig
from candor.recipe.recipe import find_recipe, load_recipe
from candor.types import Example, Label

LABEL_NAMES = ("PASS", "FAIL", "NA")

files_allowed = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def rows(draw: st.DrawFn) -> list[dict[str, str]]:
    """Few claims and groups, so that they collide; claims differ in form only, now and then."""
    count = draw(st.integers(1, 40))
    made = []
    for number in range(count):
        claim_text = f"Claim {draw(st.integers(0, 25))}" + draw(st.sampled_from(["", ".", " !", "  "]))
        made.append(
            {
                "id": str(number),
                "claim": draw(st.sampled_from([claim_text, claim_text.upper()])),
                "evidence": "",
                "label": draw(st.sampled_from(LABEL_NAMES)),
                "group": f"g{draw(st.integers(0, 12))}",
            }
        )
    return made


counts = st.one_of(st.integers(0, 8), st.dictionaries(st.sampled_from(LABEL_NAMES), st.integers(0, 6), max_size=3))


def write_rows(path: Path, made: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in made), encoding="utf-8")


def config(seed: int = 0, **values: Any) -> DataConfig:
    columns = {"id": "id", "group": "group"}
    sources = {name: {"kind": "table", "path": f"{name}.jsonl", "columns": columns} for name in ("one", "two")}
    return DataConfig.model_validate({"seed": seed, "sources": sources, "on_shortage": "shrink", **values})


def ids(splits: Splits) -> dict[str, dict[str, list[str]]]:
    return {
        split: {name: [example.id for example in examples] for name, examples in sources.items()}
        for split, sources in splits.items()
    }


@files_allowed
@given(
    one=rows(),
    two=rows(),
    asked=st.tuples(*[counts] * (2 * len(SPLITS))),
    seed=st.integers(0, 5),
    shuffle=st.randoms(),
    on_shortage=st.sampled_from(["shrink", "in_order"]),
)
def test_splits_are_disjoint_deterministic_and_order_free(
    tmp_path: Path,
    one: list[dict[str, str]],
    two: list[dict[str, str]],
    asked: tuple[Any, ...],
    seed: int,
    shuffle: random.Random,
    on_shortage: str,
) -> None:
    values: dict[str, Any] = {"on_shortage": on_shortage}
    values |= {split: {"one": asked[2 * n], "two": asked[2 * n + 1]} for n, split in enumerate(SPLITS)}
    made = config(seed, **values)
    if not made.requested("one") + made.requested("two"):
        return
    for name, content in (("one", one), ("two", two)):
        write_rows(tmp_path / f"{name}.jsonl", content)
    try:
        first = make_splits(made, data_dir=tmp_path)
    except SplitError as error:
        named = re.findall(r"(\w+)\.(one|two) is empty", str(error))
        assert named
        assert all(made.counts(split)[name] for split, name in named)
        return
    assert ids(make_splits(made, data_dir=tmp_path)) == ids(first)
    for name, content in (("one", one), ("two", two)):
        write_rows(tmp_path / f"{name}.jsonl", shuffle.sample(content, len(content)))
    assert ids(make_splits(made, data_dir=tmp_path)) == ids(first)

    # Disjoint, told by other means than the code's own check.
    for key in (lambda example: normalise_claim(example.claim), lambda example: example.group):
        seen = [{key(e) for mine in sources.values() for e in mine} for _, sources in first.items()]
        for first_split, second_split in itertools.combinations(seen, 2):
            assert not first_split & second_split

    missing = Counter((s["split"], s["source"], s["label"]) for s in first.notes["shortages"])
    for split, sources in first.items():
        for name, examples in sources.items():
            count = made.counts(split)[name]
            kinds = [(None, count)] if isinstance(count, int) else list(count.items())
            assert len(examples) == len({example.id for example in examples})
            for label, number in kinds:
                taken = sum(label is None or example.label is label for example in examples)
                assert taken <= number
                assert (taken < number) == bool(missing[split, name, label])
            if not isinstance(count, int):
                assert {example.label for example in examples} <= set(count)
    json.dumps(first.notes, allow_nan=False)


def test_rows_alike_but_for_their_group_do_not_depend_on_their_order(tmp_path: Path) -> None:
    made = [{"claim": "Same", "evidence": "E", "label": "PASS", "group": f"g{n}"} for n in range(5)]
    sources = {"one": {"kind": "table", "path": "one.jsonl", "columns": {"group": "group"}}}
    asked = DataConfig.model_validate({"sources": sources, "test": {"one": 2}})
    drawn = []
    for rows_there in (made, made[::-1]):
        write_rows(tmp_path / "one.jsonl", rows_there)
        drawn.append(make_splits(asked, data_dir=tmp_path).test["one"])
    assert drawn[0] == drawn[1]


def plain(count: int, label: str = "PASS", start: int = 0) -> list[dict[str, str]]:
    return [
        {"id": str(n), "claim": f"Claim number {n}", "evidence": "E", "label": label, "group": f"g{n}"}
        for n in range(start, start + count)
    ]


def test_other_seeds_draw_other_examples(tmp_path: Path) -> None:
    write_rows(tmp_path / "one.jsonl", plain(200))
    drawn = {
        tuple(ids(make_splits(config(seed, test={"one": 20}), data_dir=tmp_path))["test"]["one"]) for seed in range(5)
    }
    assert len(drawn) == 5


def test_shortage_is_an_error_that_names_what_is_asked_and_what_there_is(tmp_path: Path) -> None:
    write_rows(tmp_path / "one.jsonl", plain(10) + plain(5, "FAIL", start=10))
    asked = {"train": {"one": {"FAIL": 4}}, "test": {"one": {"FAIL": 3, "PASS": 5}}, "on_shortage": "error"}
    with pytest.raises(SplitError) as caught:
        make_splits(config(**asked), data_dir=tmp_path)
    assert "test.one asks for 3 FAIL examples and gets 1: the source has 5" in str(caught.value)
    assert "on_shortage: shrink" in str(caught.value)
    assert "PASS" not in str(caught.value)


def test_in_order_the_last_splits_give_way_first(tmp_path: Path) -> None:
    write_rows(tmp_path / "one.jsonl", plain(13, "FAIL"))
    asked = {split: {"one": {"FAIL": 4}} for split in SPLITS}
    splits = make_splits(config(**asked, on_shortage="in_order"), data_dir=tmp_path)
    assert [len(sources["one"]) for _, sources in splits.items()] == [4, 4, 4, 1]
    assert splits.notes["shortages"] == [
        {"split": "calibration", "source": "one", "label": "FAIL", "asked": 4, "taken": 1, "available": 13},
    ]


@pytest.mark.parametrize("on_shortage", ["in_order", "shrink"])
def test_an_empty_split_is_an_error_that_names_it(tmp_path: Path, on_shortage: str) -> None:
    write_rows(tmp_path / "one.jsonl", plain(3, "FAIL"))
    asked = {split: {"one": {"FAIL": 4}} for split in SPLITS}
    with pytest.raises(SplitError, match=r"calibration\.one is empty: it asks for 4 FAIL and .*on_shortage: shrink"):
        make_splits(config(**asked, on_shortage=on_shortage), data_dir=tmp_path)


def test_the_readme_counts_shrink_in_proportion_to_a_small_file(tmp_path: Path) -> None:
    made = [row for n, label in enumerate(LABEL_NAMES) for row in plain(200, label, start=200 * n)]
    write_rows(tmp_path / "one.jsonl", made)
    tenfold: dict[str, Any] = {
        "train": {"one": {"PASS": 250, "FAIL": 250, "NA": 500}},
        "validation": {"one": {"PASS": 75, "FAIL": 75, "NA": 75}},
        "test": {"one": {"PASS": 250, "FAIL": 250, "NA": 500}},
    }
    splits = make_splits(config(**tenfold), data_dir=tmp_path)
    assert {name: note["one"]["labels"] for name, note in splits.notes["splits"].items() if note} == {
        "train": {"PASS": 87, "FAIL": 87, "NA": 93},
        "validation": {"PASS": 26, "FAIL": 26, "NA": 14},
        "test": {"PASS": 87, "FAIL": 87, "NA": 93},
    }
    assert {(s["asked"], s["taken"]) for s in splits.notes["shortages"]} == {
        (250, 87),
        (75, 26),
        (500, 93),
        (75, 14),
    }


def test_shrinking_leaves_no_split_empty_where_groups_are_large(tmp_path: Path) -> None:
    made = [row | {"group": f"g{n % 6}"} for n, row in enumerate(plain(60) + plain(60, "NA", start=60))]
    write_rows(tmp_path / "one.jsonl", made)
    asked: dict[str, Any] = {split: {"one": {"PASS": 100, "NA": 100}} for split in ("train", "test")}
    splits = make_splits(config(**asked, validation={"one": 100}), data_dir=tmp_path)
    counts = {split: len(sources["one"]) for split, sources in splits.items() if sources}
    assert min(counts.values()) >= 10
    assert sum(counts.values()) >= 80


def test_shares_are_dealt_out_by_group_with_every_label_in_its_share(tmp_path: Path) -> None:
    made = [row | {"group": f"g{n // 2}"} for n, row in enumerate(plain(300) + plain(200, "FAIL", 300))]
    write_rows(tmp_path / "one.jsonl", made + plain(100, "NA", 500))
    made_config = DataConfig.model_validate(
        {
            "sources": {"one": {"kind": "table", "path": "one.jsonl"}},
            "split": {"train": 0.6, "validation": 0.1, "test": 0.3},
        }
    )
    splits = make_splits(made_config, data_dir=tmp_path)
    assert {name: note["one"]["labels"] for name, note in splits.notes["splits"].items() if note} == {
        "train": {"PASS": 180, "FAIL": 120, "NA": 60},
        "validation": {"PASS": 30, "FAIL": 20, "NA": 10},
        "test": {"PASS": 90, "FAIL": 60, "NA": 30},
    }
    groups = [{example.group for example in sources["one"]} for _, sources in splits.items() if sources]
    assert sum(map(len, groups)) == len(set().union(*groups))
    assert splits.notes["shortages"] == []


def test_shares_of_too_little_are_an_error_that_names_the_empty_split(tmp_path: Path) -> None:
    write_rows(tmp_path / "one.jsonl", [row | {"group": "all"} for row in plain(10)])
    asked = {"sources": {"one": {"kind": "table", "path": "one.jsonl"}}, "split": {"train": 0.7, "test": 0.3}}
    with pytest.raises(SplitError, match=r"test\.one is empty: it asks for 30%"):
        make_splits(DataConfig.model_validate(asked), data_dir=tmp_path)


def test_stages_need_what_they_work_on() -> None:
    asked = DataConfig.model_validate({"sources": {"wiki": {"kind": "sandbox"}}, "train": {"wiki": 3}})
    check_asked(asked, ["data", "train"])
    with pytest.raises(RecipeError, match=r"data\.test: the stage compare works on test examples, and none are"):
        check_asked(asked, ["data", "train", "compare"])


def test_shares_and_counts_stand_beside_each_other(tmp_path: Path) -> None:
    write_rows(tmp_path / "one.jsonl", plain(50))
    write_rows(tmp_path / "two.jsonl", plain(60, start=40))  # the first ten are claims of the other file
    asked = config(split={"train": 0.8, "test": 0.2}, test={"two": 50}, on_shortage="in_order")
    splits = make_splits(asked, data_dir=tmp_path)
    assert {split: len(sources.get("one", [])) for split, sources in splits.items()} == {
        "train": 40,
        "validation": 0,
        "test": 10,
        "calibration": 0,
    }
    assert len(splits.test["two"]) + sum("Claim number 4" in e.claim for e in splits.train["one"]) >= 50


def test_a_calibration_split_takes_what_is_left_and_moves_no_other(tmp_path: Path) -> None:
    made = [row | {"group": f"g{n // 3}"} for n, row in enumerate(plain(300) + plain(90, "FAIL", start=300))]
    write_rows(tmp_path / "one.jsonl", made)
    asked = {"train": {"one": {"PASS": 30, "FAIL": 30}}, "validation": {"one": 20}, "test": {"one": {"PASS": 40}}}
    without = make_splits(config(**asked), data_dir=tmp_path)
    splits = make_splits(config(**asked, calibration={"one": {"PASS": 50, "FAIL": 9}}), data_dir=tmp_path)
    assert ids(splits) | {"calibration": {}} == ids(without)
    assert Counter(example.label for example in splits.calibration["one"]) == {Label.PASS: 50, Label.FAIL: 9}
    elsewhere = {e.group for _, sources in without.items() for e in sources.get("one", [])}
    assert not elsewhere & {example.group for example in splits.calibration["one"]}


def test_claims_of_two_sources_meet_in_one_split(tmp_path: Path) -> None:
    write_rows(tmp_path / "one.jsonl", plain(30))
    write_rows(tmp_path / "two.jsonl", [row | {"claim": row["claim"].upper() + "!"} for row in plain(30)])
    asked = {"train": {"one": 15}, "test": {"two": 15}}
    splits = make_splits(config(**asked), data_dir=tmp_path)
    trained = {normalise_claim(example.claim) for example in splits.train["one"]}
    assert not trained & {normalise_claim(example.claim) for example in splits.test["two"]}
    assert len(splits.test["two"]) == 15


def test_counts_per_label_spread_over_groups(tmp_path: Path) -> None:
    made = [row | {"group": f"g{n % 20}"} for n, row in enumerate(plain(400))]
    write_rows(tmp_path / "one.jsonl", made)
    splits = make_splits(config(train={"one": {"PASS": 10}}), data_dir=tmp_path)
    assert len({example.group for example in splits.train["one"]}) == 10


def test_few_groups_give_more_each_rather_than_too_few(tmp_path: Path) -> None:
    made = [row | {"group": f"g{n % 4}"} for n, row in enumerate(plain(400))]
    write_rows(tmp_path / "one.jsonl", made)
    asked = {"train": {"one": {"PASS": 60}}, "test": {"one": {"PASS": 60}}, "on_shortage": "error"}
    splits = make_splits(config(**asked), data_dir=tmp_path)
    assert len(splits.train["one"]) == len(splits.test["one"]) == 60


def test_natural_counts_keep_the_shares_of_labels(tmp_path: Path) -> None:
    """A draw by label beside them must not use up the rare label's groups."""
    made = []
    for n, row in enumerate(plain(3000)):
        made.append(row | {"group": f"g{n // 3}", "label": "NA" if n % 10 == 0 else "PASS"})
    write_rows(tmp_path / "one.jsonl", made)
    asked = {"train": {"one": {"NA": 150, "PASS": 150}}, "test": {"one": 1000}}
    splits = make_splits(config(**asked), data_dir=tmp_path)
    share = sum(example.label is Label.NA for example in splits.test["one"]) / 1000
    assert 0.07 < share < 0.13


def test_violations_are_errors() -> None:
    one = Example("1", "a", "The claim.", (), Label.NA, "g1")
    same_claim = Example("2", "b", "the CLAIM", (), Label.NA, "g2")
    same_group = Example("3", "b", "Another.", (), Label.NA, "g1")
    check_disjoint({"train": {"a": [one], "b": [same_claim]}, "test": {}})
    with pytest.raises(SplitError, match="test and train share the claim 'the claim': b/2 and a/1"):
        check_disjoint({"train": {"a": [one]}, "test": {"b": [same_claim]}})
    with pytest.raises(SplitError, match="share the group 'g1'"):
        check_disjoint({"train": {"a": [one]}, "test": {"b": [same_group]}})


def test_nothing_asked_for(tmp_path: Path) -> None:
    with pytest.raises(SplitError, match="asks for no examples"):
        make_splits(config(), data_dir=tmp_path)


def test_sandbox_makes_as_many_as_it_takes() -> None:
    made = DataConfig.model_validate(
        {
            "sources": {"wiki": {"kind": "sandbox"}, "again": {"kind": "sandbox", "domain": "wiki"}},
            "train": {"wiki": {"PASS": 10, "FAIL": 10, "NA": 200}},
            "test": {"wiki": 100, "again": 50},
        }
    )
    splits = make_splits(made)
    assert Counter(e.label for e in splits.train["wiki"]) == {Label.PASS: 10, Label.FAIL: 10, Label.NA: 200}
    assert len(splits.test["wiki"]) == 100
    assert {example.dataset for example in splits.test["again"]} == {"again"}
    assert all(example.posterior for example in splits.train["wiki"])
    assert splits.notes["shortages"] == []


LABELS_OF_FILES = ("SUPPORTS", "REFUTES", "NOT ENOUGH INFO")


@pytest.fixture(scope="module")
def official_form(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files in the official forms of all three datasets; FEVER and VitaminC are about the same pages."""
    folder = tmp_path_factory.mktemp("official")
    claims: list[dict[str, Any]] = []
    pages: dict[str, list[str]] = {}
    for n in range(4000):
        page = n % 1500
        pages.setdefault(f"Page_{page}", []).append(f"Page {page} has number {n} .")
        if n % 2:
            claims.append(claim(n, f"Something about number {n} is open.", "NOT ENOUGH INFO"))
        else:
            named = [(f"Page_{page}", n // 1500), (f"Page_{(page + 7) % 1500}", 0)]
            claims.append(claim(n, f"Page {page} has {n}.", LABELS_OF_FILES[n // 2 % 2], named[: 1 + n % 3 // 2]))
    write_fever(folder, claims[:3000], pages=pages, per_shard=500)
    write_rows(folder / "fever" / "shared_task_dev.jsonl", claims[3000:])
    (folder / "vitaminc").mkdir()
    vitaminc = [
        {"unique_id": f"v{n}", "claim": f"Figure {n} rose .", "evidence": f"Figure {n} .", "page": f"Page {n % 1500}"}
        | {"label": LABELS_OF_FILES[n // 1500 % 3]}
        for n in range(9000)
    ]
    write_rows(folder / "vitaminc" / "train.jsonl", vitaminc)
    evidence = [{"article": "A", "evidence": f"S{m}"} for m in range(5)]
    climate_labels = ["SUPPORTS"] * 654 + ["REFUTES"] * 253 + ["NOT_ENOUGH_INFO"] * 474 + ["DISPUTED"] * 154
    climate = [
        {"claim_id": str(n), "claim": f"Climate claim {n}", "claim_label": label, "evidences": evidence}
        for n, label in enumerate(climate_labels)
    ]
    write_rows(folder / "climate-fever.jsonl", climate)
    return folder


@pytest.mark.parametrize(("recipe", "na_evidence"), [("paper-mixed", "none"), ("mixed", "retrieved")])
def test_mixed_recipes_from_official_files(official_form: Path, recipe: str, na_evidence: str) -> None:
    made = load_recipe(find_recipe(recipe)).data
    splits = make_splits(made, data_dir=official_form)
    names = ("fever", "vitaminc", "climatefever")
    assert {name: len(examples) for name, examples in splits.train.items()} == dict.fromkeys(names, 340)
    # ClimateFEVER has 253 refuted claims: what training and validation leave of them is tested.
    validation = made.counts("validation").get("climatefever", {})
    left = 253 - 113 - (validation["FAIL"] if isinstance(validation, dict) and validation else 0)
    tested = {name: Counter(example.label for example in examples) for name, examples in splits.test.items()}
    asked = {Label.PASS: 250, Label.FAIL: 250, Label.NA: 500}
    assert tested["fever"] == tested["vitaminc"] == asked
    assert tested["climatefever"][Label.FAIL] == left
    assert {(s["split"], s["source"], s["label"]) for s in splits.notes["shortages"]} >= {
        ("test", "climatefever", "FAIL")
    }
    for example in splits.test["fever"]:
        source = na_evidence if example.label is Label.NA else "annotated"
        assert example.evidence_source == source
        assert bool(example.evidence) == (source != "none")
    # FEVER and VitaminC are about the same pages.
    pages = {example.group for example in splits.train["fever"] if example.label is not Label.NA}
    assert len(pages) > 50
    assert not pages & {example.group for example in splits.test["vitaminc"]}


def test_splits_of_official_files(shared_data: Path) -> None:
    made = DataConfig.model_validate(
        {
            "sources": {name: {"kind": name} for name in ("vitaminc", "climatefever")},
            "train": {name: {"PASS": 114, "FAIL": 113, "NA": 113} for name in ("vitaminc", "climatefever")},
            "test": {name: {"PASS": 250, "FAIL": 250, "NA": 500} for name in ("vitaminc", "climatefever")},
        }
    )
    with pytest.raises(SplitError, match=r"test.climatefever asks for 250 FAIL examples and gets 140.* has 253"):
        make_splits(made, data_dir=shared_data)
    splits = make_splits(made.model_copy(update={"on_shortage": "in_order"}), data_dir=shared_data)
    assert splits.notes["splits"]["test"]["climatefever"]["labels"] == {"PASS": 250, "FAIL": 140, "NA": 500}
    assert splits.notes["splits"]["test"]["vitaminc"]["labels"] == {"PASS": 250, "FAIL": 250, "NA": 500}
