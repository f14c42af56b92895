"""FEB's own ratings (Marasovic et al. 2022), as its repository has them: batch results of Mechanical Turk.

A row is one worker's answers on ten examples, each with two explanations: a person's and a model's. Three workers
answered each set of ten. The files hold no worker's name, so a rater is only a place among the three, and what
needs to know persons (a rater's own level) is not computed from them. `Input.k_gt_idx` says which of the two
explanations is the person's; `Input.gt_k` is the right answer of the example itself, which the worker had to give
first (`Answer.ck`).
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from caref.analysis.labels import dataset_label
from caref.errors import UserError
from caref.ratings.answers import Answers, Judged
from caref.ratings.question import JUSTIFIES

_ANSWERS = dict(zip(("yes", "w_yes", "w_no", "no"), JUSTIFIES.answers, strict=True))
_EXAMPLES = range(1, 11)


def collect(paths: Sequence[Path]) -> Answers:
    """The answers of some batch files; dataset and model follow from the columns and the file's name.

    Args:
        paths: files, or folders: all csv files in them, at any depth.

    Raises:
        UserError: where a file is none of FEB's, or an answer is none of the four.
    """
    judged, notes = [], []
    given: dict[str, dict[str, str]] = {}
    for path in sorted((file for root in paths for file in _files(root)), key=str):
        rows = _rows(path)
        dataset = "ecqa" if "Input.answer_1_a" in rows[0] else "comve"
        prefix = path.name.partition("_Batch_")[0]
        model = "GPT-3" if prefix == "gpt3" else f"UnifiedQA-T5-{prefix}"
        panel = f"{dataset_label(dataset)} {model}"
        sets: dict[tuple, list[Mapping[str, str]]] = {}
        for row in rows:
            sets.setdefault(tuple(row[name] for name in row if name.startswith("Input.")), []).append(row)
        for number, workers in enumerate(sets.values(), start=1):
            for example in _EXAMPLES:
                first = workers[0]
                text = _input(first, dataset, example)
                for place in (0, 1):
                    item = f"{panel} {number}.{example}.{place}"
                    gold = int(first[f"Input.{example}_gt_idx"]) == place
                    system = f"gold beside {model}" if gold else model
                    judged.append(Judged(item, panel, "gold" if gold else "cell", dataset, "", system, text, False))
                    given[item] = {
                        f"place {at}": _answer(path, row, f"Answer.{example}-e{place + 1}")
                        for at, row in enumerate(workers, start=1)
                    }
        right = sum(row[f"Answer.c{k}"] == row[f"Input.gt_{k}"] for row in rows for k in _EXAMPLES)
        notes.append(f"{panel}: workers gave the right answer of {right} of {len(rows) * len(_EXAMPLES)} examples")
    notes.append("these files name no workers: a rater is a place among the three of a row's set, not a person")
    return Answers(tuple(judged), given, {}, tuple(notes), persons=False)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = list(path.rglob("*.csv"))
    if not found:
        raise UserError(f"{path}: there is no csv file in this folder")
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: cannot be read ({error})") from None
    wanted = {f"Input.{k}_gt_idx" for k in _EXAMPLES} | {f"Answer.{k}-e{e}" for k in _EXAMPLES for e in (1, 2)}
    if not rows or wanted - set(rows[0]) or "_Batch_" not in path.name:
        raise UserError(f"{path}: not one of FEB's batch files; without --format feb it is read as a sheet of ours")
    return rows


def _input(row: Mapping[str, str], dataset: str, example: int) -> str:
    # ECQA's choices tell its questions apart; one of the files has lost its column of first questions
    parts = (
        [f"answer_{example}_{c}" for c in "abcde"] if dataset == "ecqa" else [f"question_{example}_{s}" for s in "ij"]
    )
    names = [f"Input.{part}" for part in parts]
    return " | ".join(" ".join(row[name].split()) for name in names)


def _answer(path: Path, row: Mapping[str, str], name: str) -> str:
    if row[name] not in _ANSWERS:
        raise UserError(f"{path}: {name} is {row[name]!r}; FEB's answers are {', '.join(_ANSWERS)}")
    return _ANSWERS[row[name]]
