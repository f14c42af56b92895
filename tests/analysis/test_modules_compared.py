"""A module that is trained to explain against the untrained one: what is tested, and what each is called."""

import csv
import io
import re

import numpy as np
import pytest
from made_up_cells import spread
from scipy.stats import wilcoxon

from caref.models.methods.full import Full
from caref.objectives.terms.ivra import Ivra
from caref.report import findings, markdown, spreadsheets
from caref.report.figures import of_evidence
from caref.report.html import page
from caref.results import evidence

COMP = "erasure.{}.comprehensiveness"


def test_a_trained_module_is_tested_against_the_untrained_one_with_random_words_beside(found):
    """Over the splits that both have, by the same paired test as all else; the record's scores say nothing of it."""
    draw = np.random.default_rng(0)
    flips = "erasure.{}.flips_over_random"
    before = [{flips.format("ivra"): 20 + draw.normal(), COMP.format("random"): 0.1} for _ in range(14)]
    after = [{**one, flips.format("ivra"): one[flips.format("ivra")] + 3 + draw.normal()} for one in before]
    of = {"peft": Full()}
    report, root = found(
        ("esnli", {"reg": Ivra(name="ivra", criteria=[]), **of}, before),
        ("esnli", {"reg": Ivra(name="ivra", criteria=["comp"]), **of}, after[:12]),
        ("esnli", {"reg": Ivra(name="ivra", criteria=["suff"], temperature=0.1), **of}, after),
    )
    (shift,) = report.evidence.shifts
    change = {name.raw: change for name, change in shift.changes.items()}[flips.format("ivra")]
    sides = [[one[flips.format("ivra")] for one in side[:12]] for side in (after, before)]
    assert change.difference.p_holm == pytest.approx(wilcoxon(*sides).pvalue)
    assert change.difference.n == change.better == 12
    assert not report.pairs
    told = markdown.document(report)
    assert "IvRA comp softmax λ=1 against IvRA untrained softmax" in told
    assert re.search(r"\| COMP† ↑ \| random \| 0.100 \| 0.100 \| \+0.000 \(12\) \|", told)
    assert "λ=1 against" in page.document(report, root)


def test_how_it_is_trained_is_nothing_of_the_module_that_it_is_held_against(found):
    trained = Ivra(module_lr=0.1, slope=0.1, comp_margin=0.5, lambda_criteria=2.0, erased="zero")
    report, _ = found(
        ("esnli", {"reg": Ivra(criteria=[])}, evaluated(0.0)), ("esnli", {"reg": trained}, evaluated(0.07))
    )
    assert len(report.evidence.shifts) == 1


def evaluated(rise: float) -> list[dict[str, float]]:
    """Scores of fourteen splits: the module's differ by about `rise`, all others are one model's."""
    noise = np.random.default_rng(round(100 * rise))
    fixed = {"calibration.ece": spread(10, 1, 1, n=14), "calibration.choice_accuracy": spread(60, 3, 2, n=14)}
    fixed |= {f"erasure.{name}.tau": spread(0.2, 0.1, 3, n=14) for name in ("attention", "lime")}
    fixed |= {COMP.format("attention"): spread(0.3, 0.1, 4, n=14), COMP.format("random"): spread(0.1, 0.02, 5, n=14)}
    moved = {f"erasure.ivra.{name}": 0.1 for name in ("flips_over_random", "tau")} | {COMP.format("ivra"): 0.1}
    own = {name: [base + rise + noise.normal(0, 0.05) for _ in range(14)] for name, base in moved.items()}
    return [{name: float(of[split]) for name, of in (fixed | own).items()} for split in range(14)]


@pytest.mark.parametrize("scope", ["module", "joint"])
def test_of_one_model_only_the_modules_own_scores_are_tested(found, scope):
    """Where criteria reach the module alone (simulatability does in either scope), no test is 0 by construction."""
    untrained = {"lambda_sced": 0.1, "lambda_kl": 0.1} if scope == "module" else {"scope": "joint"}
    trained = {**untrained, "criteria": ["comp"] if scope == "module" else ["sim"]}
    report, _ = found(
        ("esnli", {"reg": Ivra(criteria=[], **untrained)}, before := evaluated(0.0)),
        ("esnli", {"reg": Ivra(**trained)}, after := evaluated(0.07)),
    )
    (shift,) = report.evidence.shifts
    tested = {name.raw: one.difference for name, one in shift.changes.items() if one.difference.p_holm is not None}
    assert tested.keys() == {"erasure.ivra.flips_over_random", "erasure.ivra.tau"}
    p = {name: wilcoxon([one[name] for one in after], [one[name] for one in before]).pvalue for name in tested}
    (low, first), (high, second) = sorted((p, name) for name, p in p.items())
    assert tested[first].p_holm == pytest.approx(2 * low)
    assert tested[second].p_holm == pytest.approx(max(2 * low, high))
    table = markdown.document(report).split(" against IvRA untrained")[1].split("####")[0]
    assert re.search(r"\| COMP† ↑ \| random \| (\S+) \| \1 \| \+0.000 \(14\) \|  \|  \|", table)
    assert "ECE" not in table and "| attention |" not in table and "too few" not in table


def test_where_the_module_is_trained_with_the_model_all_is_tested(found):
    report, _ = found(
        ("esnli", {"reg": Ivra(criteria=[], scope="joint")}, evaluated(0.0)),
        ("esnli", {"reg": Ivra(scope="joint")}, evaluated(0.07)),
    )
    (shift,) = report.evidence.shifts
    tested = {name.raw for name, one in shift.changes.items() if one.difference.p_holm is not None}
    assert {"calibration.ece", "erasure.attention.tau", "erasure.ivra.tau"} < tested


@pytest.mark.parametrize(("key", "value"), [("module", "0123456789ab"), ("attributions", ["attention", "random"])])
def test_of_one_model_nothing_is_compared_where_its_own_module_is_not_read(found, asked, key, value):
    """Both cells read one that is lent, or none."""
    asked[key] = value
    report, _ = found(("esnli", {"reg": Ivra(criteria=[])}, evaluated(0.0)), ("esnli", {"reg": Ivra()}, evaluated(0.0)))
    assert not report.evidence.shifts


def test_a_plain_cell_and_one_with_a_module_beside_it_are_no_pair_in_the_evidence(found):
    report, _ = found(("esnli", {}, evaluated(0.0)), ("esnli", {"reg": Ivra()}, evaluated(0.0)))
    assert len(report.evidence.held) == 2 and not report.evidence.shifts and not report.pairs


def test_the_control_of_one_answer_is_told_as_it_is_measured(found):
    """The choice, by its place, that is most frequent where students were taught: not the model's answer overall."""
    report, root = found(("esnli", {}, [{"simulatability.most_frequent": 40.0}]))
    for told in (markdown.document(report), page.document(report, root)):
        (line,) = re.findall(r"SIM of one answer: ([^<\n]+)", told)
        assert "by its place" in line and "where students were taught" in line


def with_figures(scores: list[dict[str, float]], rise: float) -> list[dict]:
    """What evidence holds that its figures are drawn from."""
    bins = [{"bin": 9, "n": 9, "confidence": 0.65, "accuracy": 0.5}]
    course = {"calibration.choice_accuracy": 50.0, "erasure.ivra.flips": 10.0 + rise}
    return [{"scores": own, "reliability": bins, "by_epoch": {"0": course, "5": course}} for own in scores]


def test_a_module_is_called_untrained_and_trained_and_one_model_has_one_curve(make_cell, written, asked):
    """In figures, headings and columns, whatever regulariser the models of both have."""

    def report_of(*regs):
        cells = [make_cell("BASE", "esnli", [80.0] * 14, reg=reg) for reg in regs]
        root = written(cells)
        for cell, rise in zip(cells, (0.0, 0.07), strict=True):
            for split, own in enumerate(with_figures(evaluated(rise), rise)):
                evidence.write_split(root / cell.signature, asked, {"split": split, **own}, [])
        return findings.gather(cells, results_dir=root), root

    sced = {"lambda_sced": 0.1, "lambda_kl": 0.1}
    report, root = report_of(Ivra(criteria=[], **sced), Ivra(**sced))
    drawn = {figure.name: figure for figure in report.drawn_evidence}
    # one curve, of the untrained cell, and no second one beside it
    assert list(drawn) == ["reliability-1", "epochs-1-untrained", "epochs-1-trained"]
    assert "IvRA untrained" in drawn["reliability-1"].caption
    assert "(untrained module)" in drawn["epochs-1-untrained"].caption
    assert "(trained module)" in drawn["epochs-1-trained"].caption
    section = page.document(report, root).split('<section id="evidence"')[1].split("</section>")[0]
    assert "<h4>Trained against untrained module</h4>" in section
    assert "With against without the regulariser</h4>" not in section
    for told in (section, markdown.document(report).split("## Evidence")[1].split("\n## ")[0]):
        heads = [re.split(r"</th>|\|", line) for line in told.splitlines() if re.search("95% interval.*Holm", line)]
        words = [[re.sub("<[^>]+>", "", cell).strip() for cell in line] for line in heads]
        assert any("untrained" in line and "trained" in line for line in words)
        assert not any("without" in line or "with" in line for line in words)
    (row, *_) = csv.DictReader(io.StringIO(spreadsheets.files(report)["evidence_tests.csv"]))
    assert row["compared"] == "module"

    joint, _ = report_of(Ivra(criteria=[], scope="joint"), Ivra(scope="joint"))
    assert joint.drawn_evidence[0].name == "reliability-1"
    assert all(f">{side}</text>" in joint.drawn_evidence[0].svg for side in ("untrained", "trained"))
    (subject,) = of_evidence.subjects(joint.evidence)
    assert list(subject.sides) == ["untrained", "trained"]
