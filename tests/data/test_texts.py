"""Sources and targets, character by character, against texts written by hand: 20 examples a dataset, in by_hand/.

A block of those files is what a release holds of an example, its source and its target. The examples are ours.
"""

import csv
import json
from collections.abc import Iterable
from pathlib import Path

import pytest

from caref.data.prompts import text
from caref.data.sources import load


def table(path: Path, rows: Iterable[list[str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def lines(path: Path, records: Iterable[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def question(id: str, stem: str, choices: list[str], key: str) -> dict:
    labelled = [{"label": "ABCDE"[n], "text": choice} for n, choice in enumerate(choices)]
    return {"id": id, "answerKey": key, "question": {"stem": stem, "choices": labelled}}


def write_esnli(folder: Path, given: list[list]) -> None:
    head = ["pairID", "gold_label", "Sentence1", "Sentence2", "Explanation_1"]
    table(folder / "esnli_dev.csv", [head, *([f"{n}", *row] for n, row in enumerate(given))])


def write_comve(folder: Path, given: list[list]) -> None:
    head = ["id", "sent0", "sent1"]
    table(folder / "subtaskA_dev_data.csv", [head, *([f"{n}", row[1], row[2]] for n, row in enumerate(given))])
    table(folder / "subtaskA_dev_gold_answers.csv", [[f"{n}", row[0]] for n, row in enumerate(given)])
    table(folder / "subtaskC_dev_gold_answers.csv", [[f"{n}", row[3], "b", "c"] for n, row in enumerate(given)])


def write_ecqa_csv(folder: Path, given: list[list]) -> None:
    head = ["", "q_no", "q_text", *(f"q_op{n}" for n in range(1, 6)), "q_ans", "taskA_pos", "taskB"]
    rows = ([f"{n}", f"{n}", asked, *choices, answer, why, "no"] for n, (asked, choices, answer, why) in given)
    table(folder / "cqa_data_val.csv", [head, *rows])


def write_ecqa_release(folder: Path, given: list[list]) -> None:
    keyed = [(n, asked, choices, "ABCDE"[choices.index(answer)]) for n, (asked, choices, answer, _) in given]
    lines(folder / "cqa" / "train_rand_split.jsonl", [])
    lines(folder / "cqa" / "dev_rand_split.jsonl", [question(f"{n}", *rest) for n, *rest in keyed])
    lines(folder / "ecqa.jsonl", [{"id": f"{n}", "positives": why.split("\n")} for n, (*_, why) in given])
    (folder / "author_split").mkdir()
    (folder / "author_split" / "val_ids.txt").write_text("".join(f"{n}\n" for n, _ in given))


def write_cos_e(folder: Path, given: list[list]) -> None:
    lines(folder / "dev_rand_split.jsonl", [question(f"{n}", *row[:3]) for n, row in enumerate(given)])
    said = [{"open-ended": row[3], "selected": ""} for row in given]
    lines(folder / "cose_dev_v1.0.jsonl", [{"id": f"{n}", "explanation": one} for n, one in enumerate(said)])


@pytest.mark.parametrize(
    ("dataset", "write"),
    [
        ("esnli", write_esnli),
        ("comve", write_comve),
        ("ecqa", lambda folder, given: write_ecqa_csv(folder, list(enumerate(given)))),
        ("ecqa", lambda folder, given: write_ecqa_release(folder, list(enumerate(stripped(given))))),
        ("cos_e", write_cos_e),
    ],
    ids=["esnli", "comve", "ecqa's csv", "ecqa's release", "cos_e"],
)
def test_sources_and_targets_are_those_written_by_hand(tmp_path, dataset, write):
    blocks = (Path(__file__).parent / "by_hand" / f"{dataset}.txt").read_text("utf-8").strip().split("\n\n")
    given, expected = zip(*(block.split("\n", 1) for block in blocks), strict=True)
    write(tmp_path / dataset, [json.loads(row) for row in given])
    examples = load(dataset, "validation", "files", str(tmp_path)).examples
    assert len(examples) == 20
    for example, texts in zip(examples, expected, strict=True):
        written = text(dataset, example)
        assert f"{written.source}\n{written.target}" == texts


def stripped(given: list[list]) -> list[list]:
    """Choices without their margins, so that the answer is found among them."""
    return [
        [asked, [choice.strip() for choice in choices], answer.strip(), why] for asked, choices, answer, why in given
    ]
