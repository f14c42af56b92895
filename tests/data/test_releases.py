"""The loaders read the four releases as they are published."""

import csv
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from caref.data import cos_e, esnli, releases
from caref.data.sources import Loaded, load

PUBLISHED = [
    ("cos_e", "train", 7610),
    ("cos_e", "validation", 950),
    ("cos_e_v1.11", "train", 9741),
    ("cos_e_v1.11", "validation", 1221),
    ("ecqa", "train", 7598),
    ("ecqa", "validation", 1090),
    ("ecqa", "test", 2194),
    ("comve", "train", 10000),
    ("comve", "validation", 997),
    ("comve", "test", 1000),
    ("esnli", "validation", 9842),
    ("esnli", "test", 9824),
]


def unspaced(text: str) -> str:
    return "".join(text.split()).lower()


@pytest.mark.parametrize(("dataset", "split", "rows"), PUBLISHED)
def test_every_row_is_read_or_dropped_with_a_reason(data_root, dataset, split, rows):
    loaded = load(dataset, split, "files", str(data_root))
    assert len(loaded.examples) + sum(loaded.dropped.values()) == rows
    assert loaded.source == "files"
    for example in loaded.examples:
        assert example.answer in example.choices and example.label >= 0
        assert example.explanations and all(text.strip() for text in example.explanations)
        assert all(example.fields.values())
        assert all(0 <= span.start < span.end <= len(example.fields[span.field]) for span in example.rationale)


def test_every_gold_explanation_is_kept(data_root):
    with (data_root / "esnli" / "esnli_dev.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    examples = load("esnli", "validation", "files", str(data_root)).examples
    columns = ("Explanation_1", "Explanation_2", "Explanation_3")
    assert [list(example.explanations) for example in examples] == [
        [row[column].strip() for column in columns if row[column].strip()] for row in rows
    ]
    assert [example.answer for example in examples] == [row["gold_label"] for row in rows]
    comve = load("comve", "test", "files", str(data_root)).examples
    assert Counter(len(example.explanations) for example in comve) == {3: 1000}


def test_the_nonsensical_sentence_is_comves_right_choice(data_root):
    first = load("comve", "train", "files", str(data_root)).examples[0]
    assert first.fields["sent0"] == "He poured orange juice on his cereal."
    assert first.answer == "choice1"


def test_highlighted_words_of_esnli_are_spans_of_the_plain_text(data_root):
    path = data_root / "esnli" / "esnli_highlights.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    examples = Loaded(tuple(esnli.read_release(path)), "files").examples
    assert len(examples) == 90
    for row, example in zip(rows, examples, strict=True):
        assert "*" not in "".join(example.fields.values())
        for field, column in (("premise", "Sentence1"), ("hypothesis", "Sentence2")):
            spans = [span for span in example.rationale if span.field == field]
            marked = re.findall(r"\*([^*]+)\*", row[f"{column}_marked_1"])
            assert [example.fields[field][span.start : span.end] for span in spans] == marked
    assert sum(bool(example.rationale) for example in examples) == 90


@pytest.mark.parametrize(
    ("text", "marked", "words"),
    [
        ("A man walks.", " A *man* *walks.*", ["man", "walks."]),
        ("Two men, one dog", "Two *men*, *one dog*", ["men", "one dog"]),
        ("A  man   sleeps", "A man *sleeps*", ["sleeps"]),
        ("A man walks.", "A *man walks.", []),
        ("A man walks.", "A *woman* walks.", []),
        ("A man walks.", "A man walks.", []),
    ],
)
def test_marked_words_lie_where_the_asterisks_were_or_nowhere(text, marked, words):
    assert [text[start:end] for start, end in esnli.marked_words(text, marked)] == words


def test_marks_of_several_annotators_are_kept_once_each(tmp_path):
    columns = ["pairID", "gold_label", "Sentence1", "Sentence2"]
    columns += [f"{name}_{n}" for n in (1, 2) for name in ("Explanation", "Sentence1_marked", "Sentence2_marked")]
    cells = ["p", "neutral", "A man", "A tall man"]
    cells += ["why", "A *man*", "A *tall* man", "because", "A *man*", "A *tall* *man*"]
    path = tmp_path / "rows.csv"
    path.write_text(",".join(columns) + "\n" + ",".join(cells) + "\n", encoding="utf-8")
    (example,) = Loaded(tuple(esnli.read_release(path)), "files").examples
    assert [(span.field, example.fields[span.field][span.start : span.end]) for span in example.rationale] == [
        ("premise", "man"),
        ("hypothesis", "tall"),
        ("hypothesis", "man"),
    ]


def test_marked_span_of_cos_e_is_a_part_of_the_question(data_root):
    selected = {}
    for name in ("train", "dev"):
        for line in (data_root / "cos_e" / f"cose_{name}_v1.0.jsonl").read_text("utf-8").splitlines():
            record = json.loads(line)
            selected[record["id"]] = record["explanation"]["selected"]
    examples = [
        example
        for split in ("train", "validation")
        for example in load("cos_e", split, "files", str(data_root)).examples
    ]
    without = [example for example in examples if not example.rationale]
    for example in examples:
        for span in example.rationale:
            marked = example.fields["question"][span.start : span.end]
            assert marked == marked.strip()
            assert unspaced(marked) in unspaced(selected[example.id].replace("\\", '"'))
    # what is left without a rationale has nothing of the question in its mark
    assert {selected[example.id].strip() for example in without} <= {"{}", "Question"}
    assert len(without) < 25


@pytest.mark.parametrize(
    ("selected", "words"),
    [
        ("Question: Where does the sun set?", "Where does the sun set?"),
        ("TaskQuestion: Where does the sun set?Answer Choices:west", "Where does the sun set?"),
        ("the  SUN", "the sun"),
        ("set", "set"),
        ("where does", "Where does"),
        ("{}", None),
        ("Question", None),
        ("", None),
    ],
)
def test_noise_around_a_mark_of_cos_e_is_left_out(selected, words):
    question = "Where does the sun set?"
    span = cos_e.marked_span(question, selected)
    assert (question[span.start : span.end] if span else None) == words


def test_a_mark_is_sought_at_whole_words_first():
    question = "The artist sold art in the cart"
    span = cos_e.marked_span(question, "art")
    assert (span.start, span.end) == (16, 19)


def write_jsonl(path: Path, records: list[dict]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


@pytest.mark.parametrize("folder", ["cqa", "."])
def test_ecqa_as_downloaded_gives_what_the_joined_csv_gives(data_root, tmp_path, folder):
    with (data_root / "ecqa" / "cqa_data_val.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    questions, explanations = [], []
    for row in rows:
        texts = [row[f"q_op{n}"] for n in range(1, 6)]
        choices = [{"label": letter, "text": text} for letter, text in zip("ABCDE", texts, strict=True)]
        answer = "ABCDE"[texts.index(row["q_ans"])]
        # the order of choices in a file is not their order by letter
        question = {"stem": row["q_text"], "choices": choices[::-1], "question_concept": row["q_concept"]}
        questions.append({"id": row["q_no"], "answerKey": answer, "question": question})
        explanations.append({"id": row["q_no"], "explanation": row["taskB"], "positives": row["taskA_pos"].split("\n")})
    ecqa = tmp_path / "ecqa"
    write_jsonl(ecqa / "ecqa.jsonl", explanations[::-1])
    write_jsonl(ecqa / folder / "train_rand_split.jsonl", questions[:500])
    write_jsonl(ecqa / folder / "dev_rand_split.jsonl", questions[500:])
    (ecqa / "author_split").mkdir()
    (ecqa / "author_split" / "val_ids.txt").write_text("\n".join(row["q_no"] for row in rows) + "\n", "utf-8")
    raw, joined = (load("ecqa", "validation", "files", str(root)) for root in (tmp_path, data_root))
    assert raw.examples == joined.examples


@pytest.mark.parametrize("place", ["ALL data", "."])
def test_comve_is_read_from_the_repositorys_folders_too(data_root, tmp_path, place):
    for folder, middle, kind in (("Training  Data", "", "_all"), ("Dev Data", "dev_", ""), ("Test Data", "test_", "")):
        for task in ("A", "C"):
            answers = f"subtask{task}_answers_all.csv" if kind else f"subtask{task}_{middle}gold_answers.csv"
            target = tmp_path / "comve" / place / folder / answers.replace(middle or "-", "")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(data_root.resolve() / "comve" / answers)
        data = "subtaskA_data_all.csv" if kind else f"subtaskA_{middle}data.csv"
        (tmp_path / "comve" / place / folder / data).symlink_to(data_root.resolve() / "comve" / data)
    for split in ("train", "validation", "test"):
        here, there = (load("comve", split, "files", str(root)) for root in (tmp_path, data_root))
        assert here.examples == there.examples


def test_esnlis_two_training_files_are_read_one_after_the_other(data_root, tmp_path):
    (tmp_path / "esnli").mkdir()
    for number, name in ((1, "esnli_test.csv"), (2, "esnli_highlights.csv")):
        (tmp_path / "esnli" / f"esnli_train_{number}.csv").symlink_to(data_root.resolve() / "esnli" / name)
    assert len(load("esnli", "train", "files", str(tmp_path)).examples) == 9824 + 90


def test_what_the_downloader_writes_is_what_the_first_layout_reads():
    for name in releases.names():
        module = releases.dataset_module(name)
        written = {file.path for file in module.RELEASE}
        if not written and module.ELSEWHERE:
            continue
        assert written == {file for files in module.LAYOUTS[0].files.values() for file in files}


def test_every_dataset_has_its_choice_in_conf():
    folder = Path(__file__).parents[2] / "conf" / "dataset"
    assert {path.stem for path in folder.glob("*.yaml")} == set(releases.names())
