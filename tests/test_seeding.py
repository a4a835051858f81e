"""Seeds that follow from their parts alone."""

from __future__ import annotations

from candor.seeding import derive_seed


def test_seed_is_the_same_in_every_process_and_version() -> None:
    # A change here changes every run that was ever made.
    assert derive_seed(0, "step", 3) == 2490776720285352236


def test_parts_do_not_run_into_each_other() -> None:
    parts = [(0, "step", 1), (0, "step", 11), (0, "step1", 1), (0, "step", "1"), (1, "step", 1), (0, "epoch", 1)]
    assert len({derive_seed(*p) for p in parts}) == len(parts)
    assert all(0 <= derive_seed(*p) < 2**63 for p in parts)
