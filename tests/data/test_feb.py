"""`dataset.sampling=feb` draws FEB's own samples, and says so only where it does."""

import csv
import json
import random
import re
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from caref.data import feb, sampling
from caref.data.feb import Side
from caref.data.splits import SEEDS
from caref.errors import UserError

WANTED = {
    "sampling": "feb",
    "train_size": 48,
    "eval_size": 350,
    "train_split": "train",
    "eval_split": "validation",
}
LABELS = ("entailment", "neutral", "contradiction")


def pool(dataset: str, root: Path | None, source: str = "files", **changed) -> sampling.Pool:
    return sampling.pool({"name": dataset, **WANTED, **changed}, source, root and str(root))


@pytest.fixture(scope="module")
def published(data_root) -> list[dict]:
    """FEB's samples by split, as row numbers."""
    return [json.loads(line) for line in (data_root / "feb" / "splits.jsonl").read_text().splitlines()]


def read(path: Path) -> list[dict]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def spaced(words: str) -> str:
    return " ".join(words.split())


def test_seeds_stand_in_febs_order(published):
    assert tuple(row["seed"] for row in published) == SEEDS and [row["index"] for row in published] == [*range(60)]


def test_esnli_evaluates_febs_rows(data_root, published):
    ids = [row["pairID"] for row in read(data_root / "esnli" / "esnli_dev.csv")]
    split = pool("esnli", data_root).split
    for row in published:
        assert [one.id for one in split(row["index"]).evaluation] == [ids[at] for at in row["esnli_dev_rows"]]


def test_esnli_trains_on_febs_ranks_of_each_class(published, tmp_path):
    order = np.repeat(np.arange(3), (183_416, 182_764, 183_187))
    np.random.default_rng(0).shuffle(order)
    ranks = Counter()
    head = "pairID,gold_label,Sentence1,Sentence2,Explanation_1\n"
    lines = []
    for label in order.tolist():
        lines.append(f"{LABELS[label]} {ranks[label]},{LABELS[label]},p,h,e\n")
        ranks[label] += 1
    (tmp_path / "esnli").mkdir()
    for number, part in ((1, lines[:259_999]), (2, lines[259_999:])):  # in two files, as the release is
        (tmp_path / "esnli" / f"esnli_train_{number}.csv").write_text(head + "".join(part))
    (tmp_path / "esnli" / "esnli_dev.csv").write_text(head + "".join(lines[:9_842]))
    split = pool("esnli", tmp_path).split
    for row in published:
        wanted = [f"{label} {rank}" for label in LABELS for rank in row["esnli_train_rank_in_class"][label]]
        assert [one.id for one in split(row["index"]).train] == wanted
        assert split(row["index"]).protocol.own


def test_ecqa_draws_febs_rows_and_puts_the_next_usable_one_of_its_kind_in_the_place_of_an_unusable_one(
    data_root, published
):
    train, evaluation = (read(data_root / "ecqa" / f"cqa_data_{name}.csv") for name in ("train", "val"))
    usable = [bool(row["taskA_pos"].strip()) for row in train]
    answer = [[row[f"q_op{n}"].strip() for n in range(1, 6)].index(row["q_ans"].strip()) for row in train]

    def stands_in(at: int) -> int:
        return next(
            other for other in [*range(at, len(train)), *range(at)] if usable[other] and answer[other] == answer[at]
        )

    split = pool("ecqa", data_root).split
    own = 0
    for row in published:
        drawn = split(row["index"])
        assert [one.id for one in drawn.evaluation] == [evaluation[at]["q_no"] for at in row["ecqa_val_rows"]]
        wanted = row["ecqa_train_rows"]
        assert [one.id for one in drawn.train] == [train[stands_in(at)]["q_no"] for at in wanted]
        lacking = sum(not usable[at] for at in wanted)
        assert drawn.protocol.replaced == ({"train": {"no explanation": lacking}} if lacking else {})
        assert drawn.protocol.own == (lacking == 0)
        own += drawn.protocol.own
    assert own == 2  # the other 58 draw a row that the training file at hand does not explain


def test_comve_draws_febs_rows_and_trains_on_the_explanation_of_each(data_root, published):
    with (data_root / "comve" / "subtaskC_answers_all.csv").open(encoding="utf-8", newline="") as file:
        reasons = {id: said for id, *said in csv.reader(file)}
    train = [row["id"] for row in read(data_root / "comve" / "subtaskA_data_all.csv")]
    evaluation = [row["id"] for row in read(data_root / "comve" / "subtaskA_dev_data.csv")]
    split = pool("comve", data_root).split
    for row in published:
        drawn = split(row["index"])
        wanted = [(train[at], (reasons[train[at]][n].strip(),)) for at, n in row["comve_train_rows_and_explanation"]]
        assert [(one.id, one.explanations) for one in drawn.train] == wanted
        assert [one.id for one in drawn.evaluation] == [evaluation[at] for at in row["comve_dev_rows"]]
        assert {len(one.explanations) for one in drawn.evaluation} == {3}
        assert drawn.protocol.own


@pytest.mark.parametrize(("dataset", "version"), [("cos_e", "v1.0"), ("cos_e_v1.11", "v1.11")])
def test_cos_e_is_shuffled_as_the_library_datasets_shuffles(data_root, dataset, version):
    import datasets

    split = pool(dataset, data_root).split
    ids = {}
    for side in ("train", "dev"):  # rows stand in the order of the explanations, as in the hub's copy
        path = data_root / dataset / f"cose_{side}_{version}.jsonl"
        ids[side] = datasets.Dataset.from_dict({"id": [json.loads(line)["id"] for line in path.open(encoding="utf-8")]})
    before = np.random.get_state()
    for index in range(0, 60, 3):
        np.random.seed(SEEDS[index])
        train = ids["train"].shuffle(load_from_cache_file=False).select(range(48))["id"]
        evaluation = ids["dev"].shuffle(load_from_cache_file=False).select(range(350))["id"]
        drawn = split(index)
        assert [one.id for one in drawn.train] == list(train)
        assert [one.id for one in drawn.evaluation] == list(evaluation)
        assert drawn.protocol.own == (dataset == "cos_e")
    np.random.set_state(before)


def test_the_published_generations_are_of_these_evaluated_rows_in_this_order(data_root):
    folder = data_root / "published" / "sparsefit" / "generations"
    files = {path: "ecqa" for path in folder.glob("ecqa_*/*.txt")}
    files |= {path: "comve" for path in folder.glob("sensemaking_*/*.txt")}
    assert Counter(files.values()) == {"ecqa": 16, "comve": 2}
    compared, differing = 0, set()
    for path, dataset in files.items():
        index = SEEDS.index(int(path.name.split("_")[0]))
        drawn = pool(dataset, data_root).split(index).evaluation
        lines = path.read_text(encoding="utf-8").split("\n")
        written = [lines[at : at + 5] for at in range(0, len(lines) - 4, 5)]
        assert len(written) <= len(drawn)
        for (_, asked, gold, *_), example in zip(written, drawn, strict=False):
            answer, explanations = gold.removeprefix("Correct: ").split(" | ", 1)
            fields = example.fields
            whole = (
                fields["question"] if dataset == "ecqa" else f"choice1: {fields['sent0']} choice2: {fields['sent1']}"
            )
            assert spaced(asked) == spaced(whole)
            assert answer == example.answer
            said = [spaced(one) for one in explanations.split("[SEP]")]
            if said != [spaced(one) for one in example.explanations]:
                differing.add(whole)
            compared += 1
    assert compared == 5_743
    # the one explanation that the release rewrote after FEB read it
    assert len(differing) == 1


def test_nothing_is_drawn_from_the_generators_that_others_use(data_root):
    np.random.seed(3)
    random.seed(3)
    expected = np.random.RandomState(3).random_sample(), random.Random(3).random()
    pool("ecqa", data_root, train_size=47).split(0)
    pool("esnli", data_root, train_size=45).split(0)
    assert (np.random.random_sample(), random.random()) == expected


SIDES = [Side(np.arange(90) % 3, 3, 10, "dataset.train_size"), Side(np.arange(60) % 3, 3, 30, "dataset.eval_size")]


@pytest.mark.parametrize("draw", [feb.shuffled_by_class, feb.chosen_by_class])
def test_by_class_as_many_of_each_are_drawn_class_by_class(draw):
    train, evaluation = draw(7, SIDES)
    assert [at % 3 for at in train] == [0] * 3 + [1] * 3 + [2] * 3
    assert [at % 3 for at in evaluation] == [0] * 10 + [1] * 10 + [2] * 10
    assert len(set(evaluation)) == 30


@pytest.mark.parametrize("draw", [feb.shuffled, feb.sampled])
def test_others_draw_as_many_as_are_asked_for(draw):
    train, evaluation = draw(7, SIDES)
    assert (len(set(train)), len(set(evaluation))) == (10, 30)


@pytest.mark.parametrize(
    ("dataset", "changed", "told"),
    [
        ("esnli", {"train_size": 2}, "dataset.train_size=2: FEB draws as many of each of 3 classes; at least 3"),
        ("esnli", {"eval_size": 9999}, "dataset.eval_size=9999: too little data; the rows by right choice are 3,"),
        ("comve", {"eval_size": 999}, "dataset.eval_size=999: too little data; the rows by right choice are "),
        ("cos_e", {"eval_size": 951}, "dataset.eval_size=951: too little data; there are 950 rows"),
        ("ecqa", {"train_size": 7599}, "dataset.train_size=7599: too little data; there are 7,598 rows"),
    ],
)
def test_too_little_data_is_refused_by_the_key_and_what_there_is(data_root, dataset, changed, told):
    with pytest.raises(UserError, match=re.escape(told)) as refusal:
        pool(dataset, data_root, **changed)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("sizes", [{"train_size": 3, "eval_size": 9}, {"train_size": 300, "eval_size": 900}])
def test_any_sizes_are_drawn_and_told(data_root, sizes):
    split = pool("esnli", data_root, **sizes).split(0)
    assert (len(split.train), len(split.evaluation)) == tuple(sizes.values())
    assert f"dataset.train_size={sizes['train_size']} (FEB: 48)" in split.protocol.reasons
    assert f"dataset.eval_size={sizes['eval_size']} (FEB: 350)" in split.protocol.reasons


def test_a_file_that_is_not_whole_is_told_with_its_rows(data_root, tmp_path):
    assert pool("esnli", data_root).split(0).protocol.reasons == ("train has 8,667 of the release's 549,367 rows",)
    shutil.copytree(data_root / "comve", tmp_path / "comve")
    path = tmp_path / "comve" / "subtaskA_dev_data.csv"
    path.chmod(0o600)
    path.write_text("\n".join(path.read_text("utf-8").splitlines()[:-7]) + "\n", "utf-8")
    found = pool("comve", tmp_path)
    assert found.split(5).protocol.reasons == ("validation has 990 of the release's 997 rows",)
    assert found.record(5)["protocol"] == {
        "sampling": "feb",
        "own": False,
        "reasons": ["validation has 990 of the release's 997 rows"],
        "replaced": {},
    }
    assert found.record(5)["rows"]["evaluation"] == {"split": "validation", "rows": 990, "dropped": {}}


@pytest.mark.parametrize(
    ("dataset", "changed", "reason"),
    [
        ("comve", {"eval_split": "test"}, "dataset.eval_split=test (FEB: validation)"),
        ("comve", {"sampling": "balanced"}, "dataset.sampling=balanced"),
        ("cos_e_v1.11", {}, "FEB's samples are of CoS-E v1.0"),
    ],
)
def test_what_departs_from_febs_protocol_is_told(data_root, dataset, changed, reason):
    protocol = pool(dataset, data_root, **changed).split(0).protocol
    assert protocol.reasons == (reason,) and not protocol.own


def test_demo_data_is_never_febs_own():
    for dataset in ("esnli", "ecqa", "comve", "cos_e", "cos_e_v1.11"):
        assert "the data is the project's own demo data" in pool(dataset, None, "demo").split(0).protocol.reasons


def test_a_replacement_is_of_the_same_class_goes_round_the_end_and_leaves_the_others_as_they_are(tmp_path):
    head = "pairID,gold_label,Sentence1,Sentence2,Explanation_1\n"
    rows = [(f"{n}", LABELS[n % 3], "p", "h", "e") for n in range(30)]
    (tmp_path / "esnli").mkdir()
    files = [tmp_path / "esnli" / name for name in ("esnli_train_1.csv", "esnli_train_2.csv", "esnli_dev.csv")]

    def drawn(lacking: set[int]) -> list[list[int]]:
        written = [",".join([*row[:4], "" if int(row[0]) in lacking else row[4]]) + "\n" for row in rows]
        for path, part in zip(files, (written[:12], written[12:], [",".join(row) + "\n" for row in rows]), strict=True):
            path.write_text(head + "".join(part))
        sampling._pool.cache_clear()
        split = pool("esnli", tmp_path, train_size=12, eval_size=12).split
        return [[int(one.id) for one in split(index).train] for index in range(60)]

    whole, lacking = drawn(set()), {4, 7, 27, 28, 29}
    stand_in = {4: 10, 7: 10, 27: 0, 28: 1, 29: 2}
    assert drawn(lacking) == [[stand_in.get(at, at) for at in chosen] for chosen in whole]
    with pytest.raises(UserError, match="no row whose right choice is number 2 can be used"):
        drawn(set(range(1, 30, 3)))
