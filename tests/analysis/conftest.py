"""What tests of analysis have in common."""

import pytest
from made_up_cells import make_cell, papers_cells, written  # noqa: F401 - fixtures

from caref.config import schema
from caref.report import findings
from caref.results import evidence


@pytest.fixture
def asked() -> dict:
    """What the evidence of `found` was asked for."""
    measures = {"attributions": ["ivra", "attention", "lime"], "measures": ["erasure"]}
    return {**measures, "examples": 9, "removal": "delete"}


@pytest.fixture
def found(make_cell, written, asked):  # noqa: F811
    """A function: what a report knows of cells, (dataset, parts of the configuration, scores by split) each."""

    def gather(*cells, source="files"):
        made = []
        for dataset, parts, scores in cells:
            answers = schema.Dataset(name=dataset, target="answer")
            made.append(
                make_cell("BASE", dataset, [80.0] * len(scores), source=source, **{"dataset": answers, **parts})
            )
        root = written(made)
        for cell, (_, _, scores) in zip(made, cells, strict=True):
            for split, own in enumerate(scores):
                record = {"split": split, "scores": own, "reliability": []}
                evidence.write_split(root / cell.signature, asked, record, [])
        return findings.gather(made, results_dir=root), root

    return gather
