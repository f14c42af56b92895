"""Scores, differences and correlations from ratings that the test makes, against what they must come to."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from caref.errors import UserError
from caref.ratings.answers import Answers, Judged
from caref.ratings.judging import judge
from caref.report import judgement
from caref.report.figures import human_scores
from caref.report.figures.drawing import Figure

NAMES = ("no", "weak no", "weak yes", "yes")


def answers(levels: dict[str, np.ndarray], nbert=None, demo=False, empty=()) -> Answers:
    """Answers to systems' explanations: levels (inputs, raters) by system, -1 where a rater gave none."""
    judged, given = [], {}
    for system, table in levels.items():
        for place, row in enumerate(table):
            item = "" if (system, place) in empty else f"{system} {place}"
            scores = {} if nbert is None or system == "gold" else {"nbert": float(nbert[system][place])}
            kind, cell = ("gold", "") if system == "gold" else ("cell", f"signature of {system}")
            judged.append(Judged(item, "esnli", kind, "esnli", cell, system, f"input {place}", demo, scores))
            if item:
                given[item] = {f"r{rater}": NAMES[level] for rater, level in enumerate(row) if level >= 0}
    return Answers(tuple(judged), given, {}, ())


def draw(seed: int, inputs: int = 30, raters: int = 3, shift: float = 0.0) -> np.ndarray:
    generator = np.random.default_rng(seed)
    base = np.random.default_rng(99).normal(1.5, 0.9, size=(inputs, 1))
    level = base + shift + generator.normal(0, 0.5, size=raters) + generator.normal(0, 0.6, size=(inputs, raters))
    return np.clip(np.rint(level), 0, 3).astype(int)


def test_mean_standard_error_and_shares():
    table = draw(1)
    (found,) = judge(answers({"A": table})).scores
    means = table.mean(axis=1) / 3
    assert found.mean == pytest.approx(means.mean(), abs=1e-12)
    assert found.se == pytest.approx(means.std(ddof=1) / math.sqrt(30), abs=1e-12)
    assert found.low < found.mean < found.high and (found.n, found.ratings) == (30, 90)
    assert found.shares == pytest.approx([100 * np.mean(table == level) for level in (3, 2, 1, 0)])
    assert found.cell == "signature of A" and found.dataset == "e-SNLI"


def test_the_papers_scale():
    (found,) = judge(answers({"A": np.array([[3], [2], [1], [0]])})).scores
    assert found.mean == pytest.approx((1 + 2 / 3 + 1 / 3 + 0) / 4)


def test_an_explanation_that_is_not_there_counts_as_no():
    table = np.full((10, 2), 3)
    (found,) = judge(answers({"A": table}, empty={("A", 0), ("A", 5)})).scores
    assert found.mean == pytest.approx(0.8) and (found.n, found.unexplained, found.ratings) == (10, 2, 16)
    assert found.shares == pytest.approx([80, 0, 0, 20])


def test_the_shares_give_the_mean_whoever_rated_what_and_the_figure_tells_what_is_unexplained():
    table = draw(1)
    table[3:20, 0] = table[5:9, 1] = -1
    judged = judge(answers({"A": table}, empty={("A", 0), ("A", 25)}))
    (found,) = judged.scores
    assert sum(found.shares) == pytest.approx(100)
    assert np.dot(found.shares, [1, 2 / 3, 1 / 3, 0]) / 100 == pytest.approx(found.mean)
    assert "counted as no: 2 items" in human_scores.figure(judged).caption
    (row,) = judgement.grids(judged)[0].body
    assert row[3] == "2" and row[7:11] == [f"{share:.0f}" for share in found.shares]


def test_reasons_are_a_mean_over_items_and_an_explanation_that_is_not_there_has_none():
    one = answers({"A": np.full((4, 3), 3)}, empty={("A", 2), ("A", 3)})
    asked = "reasons_true"
    said = {("A 0", asked): dict.fromkeys(("r0", "r1", "r2"), "yes"), ("A 1", asked): {"r0": "no"}}
    (found,) = judge(replace(one, reasons=said)).scores
    assert found.reasons == {asked: pytest.approx((100 + 0 + 0 + 0) / 4)}


def test_a_missing_rating_is_not_a_no():
    table = np.full((10, 2), 3)
    table[:, 1] = -1
    table[0, :] = -1
    (found,) = judge(answers({"A": table})).scores
    assert found.mean == 1 and found.n == 9


def test_cells_are_compared_over_the_same_inputs_with_raters_and_inputs_as_blocks():
    tables = {"A": draw(1, shift=0.4), "B": draw(2), "gold": draw(3, shift=0.9)}
    found = judge(answers(tables)).contrasts
    assert [(one.family, one.left, one.right) for one in found] == [
        ("between cells", "A", "B"),
        ("against gold", "A", "gold"),
        ("against gold", "B", "gold"),
    ]
    first = found[0]
    a, b = tables["A"] / 3, tables["B"] / 3
    assert first.n == 30 and first.mean == pytest.approx((a - b).mean(), abs=1e-9)
    # balanced, so the estimate is the mean difference and its error the residual mean square of the additive model
    y = np.stack([b, a])  # (system, input, rater)
    fitted = (
        y.mean(axis=(1, 2), keepdims=True)
        + y.mean(axis=(0, 2), keepdims=True)
        + y.mean(axis=(0, 1), keepdims=True)
        - 2 * y.mean()
    )
    residual = ((y - fitted) ** 2).sum() / (y.size - 1 - 1 - 29 - 2)
    assert first.mixed == pytest.approx(first.mean, abs=1e-6)
    assert first.mixed_se == pytest.approx(math.sqrt(residual * 2 / 90), rel=2e-3)
    assert found[0].p_holm == found[0].p  # a family of one
    assert all(one.p_holm >= one.p for one in found[1:])


def test_two_cells_that_are_called_the_same_are_two_systems():
    found = answers({"A": np.full((12, 2), 3), "B": np.full((12, 2), 1), "gold": draw(3, inputs=12)})
    judged = judge(replace(found, judged=tuple(replace(one, system="X") for one in found.judged)))
    assert [(one.cell, one.n, one.mean) for one in judged.scores[:2]] == [
        ("signature of A", 12, 1),
        ("signature of B", 12, pytest.approx(1 / 3)),
    ]
    assert len(judged.scores) == 3 and judged.contrasts[0].mean == pytest.approx(2 / 3)


def test_few_common_inputs_are_not_tested():
    (found,) = judge(answers({"A": draw(1, inputs=8), "B": draw(2, inputs=8)})).contrasts
    assert found.n == 8 and found.p is None and found.mean is not None


def test_one_rater_has_a_difference_and_no_mixed_model():
    (found,) = judge(answers({"A": draw(1, raters=1), "B": draw(2, raters=1)})).contrasts
    assert found.mean is not None and found.mixed is None and found.mixed_note


def test_automatic_scores_against_ratings():
    tables = {"A": draw(1), "B": draw(2), "gold": draw(3)}
    generator = np.random.default_rng(5)
    nbert = {name: 80 + 3 * tables[name].mean(axis=1) + generator.normal(size=30) for name in ("A", "B")}
    (found,) = judge(answers(tables, nbert)).correlations
    rated = np.concatenate([tables[name].mean(axis=1) for name in ("A", "B")])
    expected = spearmanr(np.concatenate([nbert["A"], nbert["B"]]), rated.round(9)).statistic
    assert found.n == 60 and found.measure == "nbert" and found.rho == pytest.approx(expected, abs=1e-9)
    assert -1 <= found.low < found.rho < found.high <= 1


def test_a_score_that_does_not_vary_has_no_correlation():
    (found,) = judge(answers({"A": draw(1)}, {"A": np.full(30, 88.0)})).correlations
    assert found.rho is None and found.low is None


def test_what_is_kept_is_read_back(tmp_path):
    found = judge(answers({"A": draw(1), "B": draw(2)}, {"A": range(30), "B": range(30)}, demo=True))
    path = tmp_path / "judgement.json"
    path.write_bytes(judgement.to_json(found))
    kept = judgement.read(path)
    assert kept.scores == found.scores and kept.demo and judgement.to_json(kept) == path.read_bytes()
    for content in (b"{}", b"no json", b'{"demo": 1}'):
        path.write_bytes(content)
        with pytest.raises(UserError, match="not what `caref"):
            judgement.read(path)
    with pytest.raises(UserError, match="cannot be read"):
        judgement.read(Path(tmp_path / "nothing"))


def test_figure_1c_has_the_papers_means_beside_real_data_only():
    real = human_scores.figure(judge(answers({"A": draw(1), "gold": draw(3)})))
    demo = human_scores.figure(judge(answers({"A": draw(1), "gold": draw(3)}, demo=True)))
    assert isinstance(real, Figure) and isinstance(demo, Figure)
    assert "the paper's" in real.svg and "the paper's" not in demo.svg
    assert "demo data" in demo.svg and demo.caption.startswith("Demo data") and "3 raters" in real.caption
    nothing = human_scores.figure(judge(Answers((), {}, {}, ())))
    assert nothing == "Figure 1c: nothing is rated"


def test_figure_1c_has_room_for_datasets_that_the_paper_has_not():
    found = judge(answers({"A": draw(1)}))
    others = [replace(found.scores[0], dataset=name) for name in ("Other", "CoS-E v1.11")]
    figure = human_scores.figure(replace(found, scores=[*others, *found.scores]))
    drawn = [figure.svg.index(f">{name}<") for name in ("e-SNLI", "CoS-E v1.11", "Other")]
    assert drawn == sorted(drawn)


def test_wandb_holds_what_was_found(tmp_path):
    pytest.importorskip("wandb")
    import sys

    from caref.ratings import telling

    sys.path.insert(0, str(Path(__file__).parents[1] / "tracking"))
    from told import final, held, one

    found = judge(answers({"A": draw(1), "B": draw(2)}))
    for _ in range(2):  # told again, it takes its own place
        telling.track(found, tmp_path / "agreement", "offline", "caref", None)
    ((name, records),) = held(tmp_path / "agreement").items()
    assert name.startswith("ratings-") and one(records, "run")["job_type"] == "ratings"
    summary = final(records)
    assert float(summary["e-SNLI/A/mean"]) == found.scores[0].mean
    assert float(summary["agreement/e-SNLI/alpha"]) == found.agreement[0].alpha
    assert float(summary["e-SNLI/A - B/mean"]) == pytest.approx(found.contrasts[0].mean)


def test_the_report_has_a_section_and_figure_1c(make_cell, command, tmp_path):
    make_cell("x")
    tables = {"A <b>": draw(1), "B": draw(2), "gold": draw(3)}
    folder = tmp_path / "results" / "ratings" / "agreement"
    folder.mkdir(parents=True)
    found = judge(answers(tables, {"A <b>": range(30), "B": range(30)}, demo=True))
    (folder / "judgement.json").write_bytes(judgement.to_json(found))
    done = command("-m", "caref.report", str(tmp_path / "results"))
    assert done.returncode == 0, done.stderr
    out = tmp_path / "results" / "report"
    assert (out / "figure1c.png").is_file()
    page, text = ((out / name).read_text() for name in ("report.html", "report.md"))
    mean = f"{found.scores[0].mean:.3f}"
    assert 'id="people"' in page and mean in page and "A &lt;b&gt;" in page and "A <b>" not in page
    assert "## Human judgement" in text and mean in text and "Krippendorff" in text
    moved = folder.rename(tmp_path / "elsewhere")
    done = command("-m", "caref.report", str(tmp_path / "results"), "--out", str(tmp_path / "no"))
    assert 'id="people"' not in (tmp_path / "no" / "report.html").read_text()
    line = ("-m", "caref.report", str(tmp_path / "results"), "--out", str(tmp_path / "no"), "--ratings")
    assert command(*line, str(moved)).returncode == 0
    assert 'id="people"' in (tmp_path / "no" / "report.html").read_text()
    refused = command(*line, str(tmp_path))
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "judgement.json" in refused.stderr
