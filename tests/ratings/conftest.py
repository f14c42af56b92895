"""Cells with predictions on the project's demo examples, as runs leave them, and the command line on them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from caref.config import schema
from caref.config.signature import described, signature
from caref.data import sources
from caref.data.prompts import text
from caref.results import store

PER_SPLIT = 40  # evaluated examples
HTML = '<script>document.title="taken"</script><img src=x onerror="document.title=1"> & </script>'
FORMULA = '=HYPERLINK("http://x.invalid","click")'


def explains(system: str, number: int) -> str:
    """What a made-up system writes about the example of a number."""
    return f"{system} words, number {number}, speak for it"


def prediction(dataset: str, example, explanation: str, right: bool = True) -> dict:
    answer = example.answer if right else "something else"
    return {
        "id": example.id,
        "source": text(dataset, example).source,
        "choices": list(example.choices),
        "gold": example.answer,
        "explanations": list(example.explanations),
        "generation": f"{answer} because {explanation}" if explanation else answer,
        "answer": answer,
        "explanation": explanation,
        "right": right,
        "broken": not explanation,
        "nbert": 80.0 + len(explanation) % 17 if right else 0.0,
    }


@pytest.fixture
def make_cell(composed, tmp_path) -> Callable[..., str]:
    """A function: write a cell of a dataset; returns its signature.

    `says` gives the explanation of (split, number); `right` says whether the answer is. Split s evaluates examples
    s * 10 to s * 10 + 39, so neighbouring splits share three quarters.
    """

    def make(
        system: str,
        dataset="esnli",
        splits=range(4),
        says=None,
        right=lambda split, number: True,
        overrides=(),
        root: Path = tmp_path / "results",
    ) -> str:
        job = composed("model=tiny_t5", "source=demo", "bertscore=minilm", f"dataset={dataset}", *overrides)
        description = described(schema.plain(job), "f" * 64, {})
        name = signature(description)
        examples = sources.load(dataset, "validation", "demo", None).examples
        for split in splits:
            lines = []
            for number in range(split * 10, split * 10 + PER_SPLIT):
                said = explains(system, number) if says is None else says(split, number)
                lines.append(prediction(dataset, examples[number], said, right(split, number)))
            record = {
                "split": split,
                "seed": split,
                "scores": {"accuracy": 100.0, "nbert": 85.0},
                "counts": {"trainable": 1, "parameters": 4, "evaluated": PER_SPLIT},
                "source": "demo",
                "fingerprint": "f" * 64,
                "run": {"precision": "float32", "versions": {"torch": "2"}},
            }
            store.write_split(root / name, description, record, lines)
        return name

    return make


@pytest.fixture
def two_cells(make_cell) -> tuple[str, str]:
    """AQ with and without the regulariser on demo e-SNLI, right everywhere."""
    return make_cell("first", overrides=("reg=sced",)), make_cell("second", overrides=("reg=none",))


@pytest.fixture
def ratings(command, tmp_path):
    """A function: `python -m caref.ratings ...` in tmp_path's parent of results; asserts exit 0 unless told."""

    def run(*line: str, code: int = 0):
        done = command("-m", "caref.ratings", *map(str, line))
        assert done.returncode == code, done.stdout + done.stderr
        if code:
            assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr
        return done

    return run
