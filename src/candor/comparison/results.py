"""A run's results: its comparisons and findings in one checked file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from candor.comparison.findings import findings_on
from candor.files import read_json, write_json
from candor.metrics import schema, seeds_schema
from candor.metrics.check_results import check_results
from candor.metrics.old_results import in_current_words


def run_results(
    run: Mapping[str, Any],
    comparisons: Sequence[schema.Comparison],
    *,
    audit: Mapping[str, Sequence[str]] | None = None,
    warnings: Sequence[str] = (),
) -> schema.RunResults:
    """Put a run's comparisons together, and say what they find of the study's hypotheses.

    Args:
        run: what the run says of itself: name, recipe, seed, versions; JSON values.
        comparisons: one per dataset, from :func:`candor.comparison.compare.compare_files`, with their roles.
        audit: for each dataset, sentences about shortcuts in its examples.
        warnings: about the run as a whole.
    """
    return {
        "schema": schema.SCHEMA,
        "kind": "run",
        "run": dict(run),
        "comparisons": list(comparisons),
        "findings": findings_on(comparisons, audit),
        "warnings": list(warnings),
    }


def write_results(path: Path | str, results: schema.Comparison | schema.RunResults | seeds_schema.SeedResults) -> None:
    """Write results as JSON, whole or not at all.

    Raises:
        PredictionError: they do not have the documented shape.
    """
    check_results(results)
    write_json(path, results)


def read_results(path: Path | str) -> schema.Comparison | schema.RunResults | seeds_schema.SeedResults:
    """Read and check what :func:`write_results` wrote, of this schema or one before.

    Raises:
        DataError: the file is missing or not JSON.
        PredictionError: it does not hold results of a shape that is known.
    """
    results = read_json(path)
    if isinstance(results, Mapping):
        results = in_current_words(results)
    check_results(results)
    return cast("schema.Comparison | schema.RunResults | seeds_schema.SeedResults", results)
