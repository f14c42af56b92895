"""The paper's claims: against the table it prints, and against records."""

import numpy as np
import pytest
from scipy import stats

from caref.analysis import claims, paper
from caref.analysis.claims import AGREES, CONTRADICTS, NOT_ENOUGH, NOT_SUPPORTED, SUPPORTED, UNCLEAR, sentence
from caref.analysis.table1 import tables

REGULARISER = "The regulariser improves nBERT on every dataset, for BASE and for AQ"


def about(verdicts, text):
    return next(one for one in verdicts if text in one.claim.text)


def test_where_the_papers_text_and_table_disagree_is_said():
    printed = claims.printed()
    regulariser = about(printed, REGULARISER)
    assert regulariser.verdict == CONTRADICTS
    failing = [part for part in regulariser.parts if part.outcome == "fails"]
    assert [(part.left, part.column) for part in failing] == [("CAREF-BASE", "ecqa"), ("CAREF-AQ", "ecqa")]
    assert "CAREF-BASE 77.51, BASE 80.16, difference -2.65" in sentence(failing[0])
    assert "CAREF-AQ 80.31, AQ 80.87, difference -0.56" in sentence(failing[1])


def test_a_lead_smaller_than_the_spread_is_no_disagreement_and_no_proof():
    verdict = about(claims.printed(), "outperforms LoRA and AdaLoRA in average nBERT")
    assert verdict.verdict == UNCLEAR
    lora = next(part for part in verdict.parts if part.right == "LoRA-R4")
    assert "difference +0.09 ± 0.30: within the spread" in sentence(lora)
    assert about(claims.printed(), "best average nBERT").verdict == AGREES


def test_the_margin_is_the_textbooks_for_independent_samples():
    part = about(claims.printed(), REGULARISER).parts[0]  # BASE on CoS-E: 74.00 ± 0.66 against 73.04 ± 1.37
    sample = 60 / 59  # from population to sample variance
    assert part.margin == pytest.approx(1.96 * np.sqrt(sample * (0.66**2 + 1.37**2) / 60))


def test_the_papers_table_as_records_is_tested_with_the_same_means(papers_cells):
    (table,) = tables(papers_cells)
    tested = claims.tested(table)
    verdict = about(tested, REGULARISER)
    assert verdict.verdict == NOT_SUPPORTED
    on_ecqa = [part for part in verdict.parts if part.column == "ecqa"]
    assert [round(part.difference.mean, 2) for part in on_ecqa] == [-2.65, -0.56]
    assert on_ecqa[0].outcome == "fails"
    for ours, printed in zip(tested, claims.printed(), strict=True):
        for one, other in zip(ours.parts, printed.parts, strict=True):
            assert abs(one.left_mean - other.left_mean) < 0.0051 and abs(one.right_mean - other.right_mean) < 0.0051


def test_a_planted_effect_supports_the_claim_and_few_splits_do_not(make_cell):
    random = np.random.default_rng(0)

    def cells(n):
        easy = random.normal(0, 2, n)
        rows = {"CAREF-BASE": 3, "BASE": 0, "CAREF-AQ": 3, "AQ": 0}
        return [
            make_cell(row, dataset, list(80 + gain + easy + random.normal(0, 0.5, n)))
            for row, gain in rows.items()
            for dataset in paper.DATASETS
        ]

    verdict = about(claims.tested(tables(cells(30))[0]), REGULARISER)
    assert verdict.verdict == SUPPORTED and verdict.tally() == "8 of 8 parts hold"
    verdict = about(claims.tested(tables(cells(5))[0]), REGULARISER)
    assert verdict.verdict == NOT_ENOUGH and {part.outcome for part in verdict.parts} == {"untested"}
    assert "n 5, 12 needed" in sentence(verdict.parts[0])


@pytest.mark.parametrize(("against", "outcome"), [((20, 19, 17), "undecided"), ((20, 19, 9), "holds")])
def test_five_percent_is_what_decides(make_cell, against, outcome):
    """20 pairs whose differences rank 1 to 20; those against are of rank sum 56 (p 0.070) or 48 (p 0.036)."""
    differences = [-rank / 10 if rank in against else rank / 10 for rank in range(1, 21)]
    p = stats.wilcoxon(differences).pvalue
    assert (0.05 < p < 0.10) if outcome == "undecided" else (0.025 < p < 0.05)
    easy = [80 + number / 7 for number in range(20)]
    gains = {("CAREF-AQ", "ecqa"): differences}
    clear, none = [3 + number / 99 for number in range(20)], [0] * 20
    cells = [
        make_cell(
            row, dataset, [score + gain for score, gain in zip(easy, gains.get((row, dataset), plain), strict=True)]
        )
        for row, plain in {"CAREF-BASE": clear, "BASE": none, "CAREF-AQ": clear, "AQ": none}.items()
        for dataset in paper.DATASETS
    ]
    verdict = about(claims.tested(tables(cells)[0]), REGULARISER)
    (part,) = (part for part in verdict.parts if (part.left, part.column) == ("CAREF-AQ", "ecqa"))
    # nBERT is 0.9 of accuracy here, which changes no rank; Holm's factor for the largest p of eight is 1
    assert part.difference.p_holm == pytest.approx(p) and part.outcome == outcome
    assert verdict.verdict == {"undecided": NOT_SUPPORTED, "holds": SUPPORTED}[outcome]


def test_a_small_loss_on_every_split_is_the_other_way(make_cell):
    scores = [80 + number / 7 for number in range(20)]
    cells = [make_cell("CAREF-AQ", "ecqa", [score - 0.2 for score in scores]), make_cell("AQ", "ecqa", scores)]
    verdict = about(claims.tested(tables(cells)[0]), REGULARISER)
    (part,) = (part for part in verdict.parts if part.outcome != "untested")
    assert part.outcome == "fails" and "the other way" in sentence(part)


def test_a_printed_lead_is_set_against_its_whole_margin():
    parts = [part for verdict in claims.printed() for part in verdict.parts]
    for part in parts:
        lead = part.left_mean - part.right_mean
        assert part.outcome == ("fails" if lead <= 0 else "undecided" if lead <= part.margin else "holds")


def test_one_part_that_fails_is_enough_where_others_have_no_data(make_cell):
    random = np.random.default_rng(1)
    worse = [make_cell(row, "ecqa", list(random.normal(mean, 1, 30))) for row, mean in (("CAREF-AQ", 80), ("AQ", 85))]
    verdict = about(claims.tested(tables(worse)[0]), REGULARISER)
    assert verdict.verdict == NOT_SUPPORTED
    assert [part.outcome for part in verdict.parts].count("untested") == 7
    assert "no common splits" in sentence(verdict.parts[0])


def test_no_clear_difference_is_not_support(make_cell):
    random = np.random.default_rng(2)
    cells = [
        make_cell(row, dataset, list(random.normal(85, 2, 60)))
        for row in ("CAREF-AQ", "AQ", "CAREF-BASE", "BASE")
        for dataset in paper.DATASETS
    ]
    verdict = about(claims.tested(tables(cells)[0]), REGULARISER)
    assert verdict.verdict == NOT_SUPPORTED and "undecided" in {part.outcome for part in verdict.parts}


def test_means_are_of_the_splits_that_both_rows_have(make_cell):
    """One row runs ahead of the other, with harder splits still to come."""
    rises = [1.0 + split / 100 for split in range(20)]
    ahead = make_cell("BASE", "esnli", [90.0] * 60, [80.0] * 20 + [95.0] * 40)
    behind = make_cell("CAREF-BASE", "esnli", [90.0] * 20, [80.0 + rise for rise in rises])
    (table,) = tables([ahead, behind])
    part = next(part for part in about(claims.tested(table), REGULARISER).parts if part.difference.n)
    assert part.right_mean == pytest.approx(80.0) and part.outcome == "holds"
    assert part.left_mean - part.right_mean == pytest.approx(part.difference.mean)
