"""The figures of evidence: reliability, risk over coverage, and what comes epoch by epoch."""

import numpy as np
import pytest
from made_up_evidence import ASKED, compared, pair_of

from caref.report.figures import of_evidence
from caref.results import evidence


def test_reliability_pools_the_bins_of_all_splits(make_cell, written):
    cells = pair_of(make_cell, 2)
    root = written(cells)
    bins = [
        [
            {"bin": 3, "n": 1, "confidence": 0.25, "accuracy": 1.0},
            {"bin": 9, "n": 3, "confidence": 0.65, "accuracy": 0},
        ],
        [{"bin": 3, "n": 3, "confidence": 0.21, "accuracy": 0.0}],
    ]
    for cell in cells:
        for split, reliability in enumerate(bins):
            record = {"split": split, "scores": {"calibration.ece": 1.0}, "reliability": reliability}
            evidence.write_split(root / cell.signature, ASKED, record, [])
    found = compared(cells, root)
    low, high = of_evidence.reliability(found.held[0])
    assert (low["bin"], low["n"], low["accuracy"]) == (3, 4, 0.25) and low["confidence"] == pytest.approx(0.22)
    assert high == {"bin": 9, "n": 3, "confidence": 0.65, "accuracy": 0.0}
    figures, amiss = of_evidence.drawn(found, root)
    assert [figure.name for figure in figures] == ["reliability-1"] and not amiss  # no rows, no risk over coverage
    assert "A temperature moves this" in figures[0].caption and ">4<" in figures[0].svg
    assert "pooled (2)" in figures[0].caption
    found.held[1].found.records[0]["reliability"] = []
    assert "pooled (1 and 2)" in of_evidence.drawn(found, root)[0][0].caption


def test_the_area_under_risk_over_coverage_is_the_measures_own(make_cell, written):
    """Read from rows and predictions, against `calibration.aurc` of the same probabilities."""
    from scipy.special import log_softmax

    from caref.evidence.measures.calibration import aurc

    random = np.random.default_rng(2)
    cells, root, expected = pair_of(make_cell, 3)[:1], None, []
    choices = ["entailment", "neutral", "contradiction"]
    tables, labels = random.normal(0, 2, (3, 9, 3)), random.integers(0, 3, (3, 9))
    tables[1, :5] = tables[1, 0]  # as sure of all, and not right with all
    for split in range(3):
        predictions = [{"id": f"{i}", "choices": choices, "gold": choices[labels[split][i]]} for i in range(9)]
        one = type(cells[0])(cells[0].signature, cells[0].config, {split: cells[0].records[split]})
        root = written([one], predictions)
        rows = [{"id": f"{i}", "log_p": (tables[split][i] - 50).tolist()} for i in range(9)]
        record = {"split": split, "scores": {"calibration.ece": 1.0}, "reliability": []}
        evidence.write_split(root / one.signature, ASKED, record, rows)
        log_p = log_softmax(tables[split], axis=-1)
        expected.append(aurc(np.exp(log_p).max(-1), log_p.argmax(-1) == labels[split]))
    (held,) = compared(cells, root).held
    curves, amiss = of_evidence.risk_coverage(held, root)
    assert curves.shape == (3, 9) and not amiss
    assert curves.mean(1) == pytest.approx(expected)
    rows = evidence.folder_of(root / cells[0].signature, ASKED) / "001.jsonl.gz"
    rows.write_bytes(b"cut")
    curves, amiss = of_evidence.risk_coverage(held, root)
    assert curves.shape == (2, 9) and "001.jsonl.gz: missing, or not what its record names" in amiss[0]
    (figure,), _ = of_evidence.drawn(compared(cells, root), root)
    assert "over the splits (2)" in figure.caption  # those that are drawn


def test_by_epoch_flips_and_alignment_stand_over_accuracy(make_cell, written):
    cells = pair_of(make_cell, 2)
    root = written(cells)
    for cell in cells:
        for split in (0, 1):
            by_epoch = {
                epoch: {
                    "calibration.choice_accuracy": 30.0 + 10 * int(epoch) + split,
                    "erasure.saliency.flips": 2.0 * int(epoch) if epoch != "5" or split else None,
                    "alignment.saliency.f1": None,
                }
                for epoch in ("0", "5", "10")
            }
            scores = {"erasure.saliency.flips": 1.0, "alignment.saliency.f1": None}
            record = {"split": split, "scores": scores, "reliability": [], "by_epoch": by_epoch}
            evidence.write_split(root / cell.signature, ASKED, record, [])
    found = compared(cells, root)
    courses = of_evidence.by_epoch(found.held[0])
    assert courses == {"erasure.*.flips": {"saliency": [(0, 30.5, 0.0, 2), (5, 81.0, 10.0, 1), (10, 130.5, 20.0, 2)]}}
    figures, _ = of_evidence.drawn(found, root)
    assert [figure.name for figure in figures] == ["epochs-1-without", "epochs-1-with"]
    assert "no p is told" in figures[0].caption and "n = 1 to 2 splits" in figures[0].caption
    for held in found.held:
        del held.found.records[0]["by_epoch"]
    assert "n = 1 splits" in of_evidence.drawn(found, root)[0][0].caption
