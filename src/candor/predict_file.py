"""A file of claims in, a file of predictions out."""

from __future__ import annotations

from pathlib import Path

from candor.data.inputs import read_splits
from candor.engines.load import load_engine
from candor.errors import DataError
from candor.predict import predict
from candor.predictions import Header, write_predictions
from candor.progress import Reporter
from candor.prompts import templates
from candor.recipe.engine import EngineConfig, ModelConfig


def predict_file(
    data: Path,
    out: Path,
    *,
    model: str,
    adapter: Path | None,
    template: str,
    batch_size: int,
    max_new_tokens: int,
    device: str,
    reporter: Reporter,
) -> int:
    """Answer the claims of a file and write the predictions.

    Returns:
        The number of predictions.

    Raises:
        DataError: the file cannot be read, or holds no claims.
        ModelError: the model cannot be loaded.
    """
    splits = read_splits(str(data), data_dir=None)
    examples = [example for split in splits.values() for group in split.values() for example in group]
    if not examples:
        raise DataError("no claims in it", file=data)
    chosen = templates.get(template)
    recipe_model = ModelConfig(name=model, device=device)
    engine = load_engine(recipe_model, EngineConfig(), seed=0, adapter=adapter or False, reporter=reporter)
    with reporter.bar("predict", len(examples)) as bar:
        predictions = predict(
            engine, examples, chosen, max_new_tokens=max_new_tokens, batch_size=batch_size, on_batch=bar.advance
        )
    header = Header(
        model=model if adapter is None else f"{model} + {adapter}",
        template=chosen.name,
        template_sha256=chosen.sha256,
        dataset=names.pop() if len(names := {example.dataset for example in examples}) == 1 else data.stem,
        split="test",
        seed=0,
    )
    write_predictions(out, header, predictions)
    return len(predictions)
