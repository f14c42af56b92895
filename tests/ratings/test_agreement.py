"""Agreement equals what its definitions come to, written out here; FEB's own ratings are read as they are."""

import csv
import itertools
import json
import math

import numpy as np
import pytest

from caref.ratings import agreement, feb
from caref.ratings.judging import judge

LEVELS = {"no": 0, "weak no": 1, "weak yes": 2, "yes": 3}
FEB = ("no", "w_no", "w_yes", "yes")


def ordinal_alpha(units: list[list[int]]) -> float:
    """Krippendorff (2011), from the coincidence matrix: 1 - observed / expected disagreement."""
    units = [unit for unit in units if len(unit) > 1]
    coincidences = np.zeros((4, 4), dtype=np.float64)
    for unit in units:
        for one, other in itertools.permutations(range(len(unit)), 2):
            coincidences[unit[one], unit[other]] += 1 / (len(unit) - 1)
    n = coincidences.sum(axis=1)

    def distance(c: int, k: int) -> float:
        low, high = min(c, k), max(c, k)
        return (n[low : high + 1].sum() - (n[c] + n[k]) / 2) ** 2

    pairs = list(itertools.product(range(4), repeat=2))
    observed = math.fsum(coincidences[c, k] * distance(c, k) for c, k in pairs) / n.sum()
    expected = math.fsum(n[c] * n[k] * distance(c, k) for c, k in pairs if c != k) / (n.sum() * (n.sum() - 1))
    return 1 - observed / expected


def fleiss_kappa(units: list[list[int]]) -> float:
    """Fleiss (1971): (mean agreement of an item's pairs - agreement by chance) / (1 - agreement by chance)."""
    raters = len(units[0])
    counts = [[unit.count(level) for level in range(4)] for unit in units]
    agreed = math.fsum(sum(c * (c - 1) for c in item) / (raters * (raters - 1)) for item in counts) / len(counts)
    shares = [math.fsum(item[level] for item in counts) / (len(counts) * raters) for level in range(4)]
    chance = math.fsum(share**2 for share in shares)
    return (agreed - chance) / (1 - chance)


def quadratic_kappa(one: list[int], other: list[int]) -> float:
    """Cohen (1968): 1 - mean squared difference / what it were if the two were independent."""
    observed = math.fsum((a - b) ** 2 for a, b in zip(one, other, strict=True)) / len(one)
    expected = math.fsum((a - b) ** 2 for a in one for b in other) / len(one) ** 2
    return 1 - observed / expected


@pytest.fixture(scope="module")
def feb_files(data_root):
    found = sorted((data_root / "ratings" / "feb").glob("*/*.csv"))
    if len(found) != 8:
        pytest.skip("FEB's ratings are not in the folder of real data")
    return found


@pytest.fixture(scope="module")
def of_feb(feb_files):
    return judge(feb.collect(feb_files))


def units_of(path) -> tuple[list[list[int]], list[float], list[float]]:
    """Straight from a file: every item's three levels in the order of its rows; gold and generated mean scores."""
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    sets: dict[str, list[dict]] = {}
    for row in rows:
        sets.setdefault(json.dumps([v for k, v in row.items() if k.startswith("Input.")]), []).append(row)
    units, scores = [], {True: [], False: []}
    for workers in sets.values():
        assert len(workers) == 3
        for k, place in itertools.product(range(1, 11), (1, 2)):
            unit = [FEB.index(row[f"Answer.{k}-e{place}"]) for row in workers]
            units.append(unit)
            scores[workers[0][f"Input.{k}_gt_idx"] == str(place - 1)].append(sum(unit) / 9)
    return units, scores[True], scores[False]


def test_febs_agreement_is_what_the_definitions_give(of_feb, feb_files):
    assert len(of_feb.agreement) == 8
    by_panel = {one.panel: one for one in of_feb.agreement}
    for path in feb_files:
        dataset = {"ecqa": "ECQA", "sensemaking": "ComVE"}[path.parent.name]
        prefix = path.name.split("_Batch_")[0]
        found = by_panel[f"{dataset} {'GPT-3' if prefix == 'gpt3' else 'UnifiedQA-T5-' + prefix}"]
        units, _, _ = units_of(path)
        assert found.items == found.complete == len(units) and found.ratings == 3 * len(units)
        assert found.alpha == pytest.approx(ordinal_alpha(units), abs=1e-9)
        assert found.fleiss == pytest.approx(fleiss_kappa(units), abs=1e-9)
        assert found.low < found.alpha < found.high
        columns = list(zip(*units, strict=True))
        for (_, _, n, kappa), (one, other) in zip(found.pairs, itertools.combinations(range(3), 2), strict=True):
            assert n == len(units)
            assert kappa == pytest.approx(quadratic_kappa(columns[one], columns[other]), abs=1e-9)


def test_febs_scores_by_model_and_dataset(of_feb, feb_files):
    assert {(one.dataset, one.kind) for one in of_feb.scores} == set(
        itertools.product(("ECQA", "ComVE"), ("cell", "gold"))
    )
    assert len(of_feb.scores) == 16
    for path in feb_files:
        _, gold, generated = units_of(path)
        dataset = {"ecqa": "ECQA", "sensemaking": "ComVE"}[path.parent.name]
        prefix = path.name.split("_Batch_")[0]
        model = "GPT-3" if prefix == "gpt3" else f"UnifiedQA-T5-{prefix}"
        for system, scores in ((model, generated), (f"gold beside {model}", gold)):
            (found,) = [one for one in of_feb.scores if (one.dataset, one.system) == (dataset, system)]
            assert found.n == len(scores)
            assert found.mean == pytest.approx(np.mean(scores), abs=1e-9)
            assert found.se == pytest.approx(np.std(scores, ddof=1) / math.sqrt(len(scores)), abs=1e-9)
            assert sum(found.shares) == pytest.approx(100)


def test_febs_files_name_no_persons_so_none_is_modelled(of_feb):
    assert all(one.mixed is None for one in of_feb.contrasts)
    assert any("not a person" in note for note in of_feb.notes)


def test_the_command_prints_febs_table(feb_files, ratings, tmp_path):
    folder = feb_files[0].parents[1]
    done = ratings("agree", folder, "--format", "feb", "--out", tmp_path / "found")
    assert all(f"{name:8} UnifiedQA-T5-3b" in done.stdout for name in ("ECQA", "ComVE"))
    assert "Krippendorff" not in done.stderr
    assert {path.name for path in (tmp_path / "found").iterdir()} == {
        "judgement.json",
        "ratings.csv",
        "figure1c.png",
        "figure1c.pdf",
    }


def test_a_file_of_another_kind_is_no_file_of_febs(feb_files, ratings, tmp_path):
    assert "no csv file" in ratings("agree", tmp_path, "--format", "feb", code=2).stderr
    other = tmp_path / "x_Batch_1.csv"
    other.write_text("a,b\n1,2\n")
    assert "not one of FEB's" in ratings("agree", other, "--format", "feb", code=2).stderr
    broken = tmp_path / "gpt3_Batch_1.csv"
    broken.write_bytes(feb_files[0].read_bytes().replace(b"w_yes", b"perhaps"))
    assert "'perhaps'" in ratings("agree", broken, "--format", "feb", code=2).stderr


def test_missing_ratings_are_missing_and_not_an_answer():
    generator = np.random.default_rng(7)
    names = list(LEVELS)
    given = []
    for _ in range(60):
        true = generator.integers(4)
        levels = np.clip(true + generator.integers(-1, 2, size=4), 0, 3)
        given.append({f"r{r}": names[level] for r, level in enumerate(levels) if generator.random() < 0.7})
    found = agreement.panel("p", given)
    units = [[LEVELS[answer] for answer in item.values()] for item in given]
    complete = [unit for unit in units if len(unit) == 4]
    assert found.items == sum(len(unit) > 1 for unit in units) < 60
    assert found.alpha == pytest.approx(ordinal_alpha(units), abs=1e-9)
    assert found.complete == len(complete) and found.fleiss == pytest.approx(fleiss_kappa(complete), abs=1e-9)
    for one, other, n, kappa in found.pairs:
        both = [(LEVELS[item[one]], LEVELS[item[other]]) for item in given if one in item and other in item]
        assert n == len(both) and kappa == pytest.approx(quadratic_kappa(*zip(*both, strict=True)), abs=1e-9)


@pytest.mark.parametrize(
    "given",
    [
        [{"a": "yes", "b": "yes"}, {"a": "yes", "b": "yes"}],  # no disagreement could be expected
        [{"a": "yes"}, {"a": "no"}],  # one rater
        [{}, {}],
    ],
)
def test_what_is_not_defined_has_no_figure(given):
    found = agreement.panel("p", given)
    assert found.alpha is None and found.fleiss is None and all(kappa is None for *_, kappa in found.pairs)
