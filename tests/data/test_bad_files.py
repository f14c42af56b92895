"""A file that is not what it should be is refused in one line that names it, its line, and what is wrong."""

import json
from pathlib import Path

import pytest

from caref.data.sources import load
from caref.errors import UserError

ESNLI_HEAD = "pairID,gold_label,Sentence1,Sentence2,Explanation_1,Explanation_2,Explanation_3\n"
ESNLI_ROW = "1,neutral,A man sleeps.,He dreams.,Sleepers need not dream.,,\n"
ECQA_HEAD = ",q_no,q_concept,q_text,q_op1,q_op2,q_op3,q_op4,q_op5,q_ans,taskA_pos,taskA_neg,taskB\n"
ECQA_ROW = '0,a1,c,Where?,a,b,c,d,e,b,"It is b\nas a rule.",neg,free text\n'
QUESTION = {
    "id": "q1",
    "answerKey": "B",
    "question": {
        "stem": "Where is it?",
        "choices": [{"label": letter, "text": text} for letter, text in zip("ABC", ("x", "y", "z"), strict=True)],
    },
}
EXPLANATION = {"id": "q1", "explanation": {"open-ended": "It is y.", "selected": "Where"}}


def refusal(root: Path, dataset: str, files: dict[str, str | bytes], split: str = "validation") -> str:
    for name, content in files.items():
        path = root / dataset / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError) as error:
        load(dataset, split, "files", str(root))
    line = str(error.value)
    assert "\n" not in line
    return line.replace(str(root), "ROOT")


def esnli(root: Path, content: str | bytes) -> str:
    return refusal(root, "esnli", {"esnli_dev.csv": content})


def ecqa(root: Path, content: str | bytes) -> str:
    return refusal(root, "ecqa", {"cqa_data_val.csv": content})


def comve(root: Path, sentences: str, answers: str, reasons: str) -> str:
    names = ("subtaskA_dev_data.csv", "subtaskA_dev_gold_answers.csv", "subtaskC_dev_gold_answers.csv")
    return refusal(root, "comve", dict(zip(names, (sentences, answers, reasons), strict=True)))


def cos_e(root: Path, questions: str, explanations: str) -> str:
    return refusal(root, "cos_e", {"dev_rand_split.jsonl": questions, "cose_dev_v1.0.jsonl": explanations})


def jsonl(*records: dict) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def test_a_quote_that_is_never_closed(tmp_path):
    told = ecqa(tmp_path, ECQA_HEAD + ECQA_ROW + '1,a2,c,Where?,a,b,c,d,e,b,pos,neg,"It is b,\nas')
    assert told.startswith("ROOT/ecqa/cqa_data_val.csv, line 4: a quote is never closed")


def test_a_quote_that_swallows_the_rest_of_a_long_file(tmp_path):
    told = esnli(tmp_path, ESNLI_HEAD + '1,neutral,"A man sleeps.,He dreams.,Why,,\n' + ESNLI_ROW * 5000)
    assert told.startswith("ROOT/esnli/esnli_dev.csv, line 2: broken csv")


def test_a_row_that_is_cut_short(tmp_path):
    told = esnli(tmp_path, ESNLI_HEAD + ESNLI_ROW * 2 + "3,neutral,A man sl")
    assert told.startswith("ROOT/esnli/esnli_dev.csv, line 4: 3 cells where 7 belong")


def test_a_row_with_too_many_cells(tmp_path):
    told = esnli(tmp_path, ESNLI_HEAD + ESNLI_ROW.replace("A man sleeps.", "A man, who is old, sleeps."))
    assert "line 2: 9 cells where 7 belong" in told


def test_lines_are_counted_as_an_editor_counts_them(tmp_path):
    told = ecqa(tmp_path, (ECQA_HEAD + ECQA_ROW * 3 + "9,short\n").replace("\n", "\r\n"))
    assert told.startswith("ROOT/ecqa/cqa_data_val.csv, line 8: 2 cells where 13 belong")


def test_columns_that_are_missing(tmp_path):
    told = esnli(tmp_path, (ESNLI_HEAD + ESNLI_ROW).replace("gold_label", "label").replace("Sentence2", "text"))
    assert "esnli_dev.csv, line 1: no column gold_label, Sentence2; the columns are pairID, label" in told


def test_an_empty_file(tmp_path):
    assert "esnli_dev.csv: the file is empty" in esnli(tmp_path, "")


def test_a_file_with_a_header_alone(tmp_path):
    assert "no example can be used: it holds none" in esnli(tmp_path, ESNLI_HEAD)


def test_a_label_outside_its_set(tmp_path):
    told = esnli(tmp_path, ESNLI_HEAD + ESNLI_ROW + ESNLI_ROW.replace("neutral", "maybe"))
    assert "esnli_dev.csv, line 3: gold_label is 'maybe', not one of entailment, neutral, contradiction" in told


def test_an_answer_outside_its_set(tmp_path):
    told = comve(tmp_path, "id,sent0,sent1\n1,a,b\n", "1,2\n", "1,x,y,z\n")
    assert "subtaskA_dev_gold_answers.csv, line 1: the answer is '2', not 0 or 1" in told


def test_an_answer_key_outside_its_set(tmp_path):
    told = cos_e(tmp_path, jsonl({**QUESTION, "answerKey": "Z"}), jsonl(EXPLANATION))
    assert "dev_rand_split.jsonl, line 1: answerKey is 'Z', not one of A, B, C" in told


def test_a_broken_json_line(tmp_path):
    told = cos_e(tmp_path, jsonl(QUESTION), jsonl(EXPLANATION) + "\n" + '{"id": "q2", "explan\n')
    assert told.startswith("ROOT/cos_e/cose_dev_v1.0.jsonl, line 3: broken JSON (")
    assert "column 14" in told


def test_a_json_line_that_is_no_object(tmp_path):
    assert "cose_dev_v1.0.jsonl, line 1: not a JSON object" in cos_e(tmp_path, jsonl(QUESTION), "[1]\n")


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ("9" * 5000, "JSON that cannot be read"),
        ("[" * 100_000 + "]" * 100_000, "JSON that cannot be read"),
        (r'"\ud83d and no more"', "not Unicode: half of a surrogate pair"),
        (r'"\udc00"', "not Unicode: half of a surrogate pair"),
    ],
    ids=["long number", "deep", "first half", "second half"],
)
def test_json_that_python_or_a_file_cannot_hold(tmp_path, value, told):
    line = f'{{"id": "q1", "more": {value}}}\n'
    assert cos_e(tmp_path, jsonl(QUESTION) + line, jsonl(EXPLANATION)).startswith(
        f"ROOT/cos_e/dev_rand_split.jsonl, line 2: {told}"
    )


def test_a_whole_surrogate_pair_is_a_character(tmp_path):
    question = json.dumps(QUESTION).replace("Where is it?", r"Where is \ud83d\ude00?")
    for name, content in {"dev_rand_split.jsonl": question, "cose_dev_v1.0.jsonl": json.dumps(EXPLANATION)}.items():
        (tmp_path / "cos_e").mkdir(exist_ok=True)
        (tmp_path / "cos_e" / name).write_text(content)
    (example,) = load("cos_e", "validation", "files", str(tmp_path)).examples
    assert example.fields["question"] == "Where is \U0001f600?"


@pytest.mark.parametrize("loop", ["cos_e", "cos_e/dev_rand_split.jsonl"])
def test_a_link_that_leads_to_itself_is_missing(tmp_path, loop):
    (tmp_path / loop).parent.mkdir(exist_ok=True)
    (tmp_path / loop).symlink_to(tmp_path / loop)
    with pytest.raises(UserError, match=r"cos_e"):
        load("cos_e", "validation", "files", str(tmp_path))


def test_a_json_record_without_its_fields(tmp_path):
    without_stem = {**QUESTION, "question": {"choices": QUESTION["question"]["choices"]}}
    told = cos_e(tmp_path, jsonl(without_stem), jsonl(EXPLANATION))
    assert "dev_rand_split.jsonl, line 1: question.stem is missing" in told
    told = cos_e(tmp_path, jsonl(QUESTION), jsonl({"id": "q1", "explanation": {"open-ended": 3, "selected": ""}}))
    assert "cose_dev_v1.0.jsonl, line 1: explanation.open-ended is no text" in told
    told = cos_e(tmp_path, jsonl({**QUESTION, "question": {"stem": "x", "choices": "abc"}}), jsonl(EXPLANATION))
    assert "dev_rand_split.jsonl, line 1: question.choices is no list" in told


def test_a_file_that_is_not_utf8(tmp_path):
    content = (ESNLI_HEAD + ESNLI_ROW + ESNLI_ROW.replace("man", "café")).encode("latin-1")
    position = content.index(b"\xe9")
    told = esnli(tmp_path, content)
    assert f"esnli_dev.csv, line 3: not UTF-8 (0xe9 at byte {position})" in told
    told = esnli(tmp_path, b"\xef\xbb\xbf" + content)
    assert f"line 3: not UTF-8 (0xe9 at byte {position + 3})" in told


def test_no_explanation_anywhere(tmp_path):
    row = ESNLI_ROW.replace("Sleepers need not dream.", " ")
    assert "no example can be used: 3 dropped for no explanation" in esnli(tmp_path, ESNLI_HEAD + row * 3)
    told = comve(tmp_path, "id,sent0,sent1\n1,a,b\n", "1,0\n", "1,,,\n")
    assert "no example can be used: 1 dropped for no explanation" in told


def test_what_cannot_be_used_is_dropped_and_counted(tmp_path):
    unlabelled = ESNLI_ROW.replace("neutral", "-")
    unexplained = ESNLI_ROW.replace("Sleepers need not dream.", "")
    (tmp_path / "esnli").mkdir()
    (tmp_path / "esnli" / "esnli_dev.csv").write_text(ESNLI_HEAD + unlabelled * 2 + ESNLI_ROW + unexplained)
    loaded = load("esnli", "validation", "files", str(tmp_path))
    assert len(loaded.examples) == 1
    assert loaded.dropped == {"no gold label": 2, "no explanation": 1}

    (tmp_path / "ecqa").mkdir()
    homeless = ECQA_ROW.replace(",e,b,", ",e,another,")
    (tmp_path / "ecqa" / "cqa_data_val.csv").write_text(ECQA_HEAD + ECQA_ROW + homeless)
    loaded = load("ecqa", "validation", "files", str(tmp_path))
    assert loaded.examples[0].explanations == ("It is b. as a rule.",)
    assert loaded.dropped == {"the answer is none of the choices": 1}

    (tmp_path / "comve").mkdir()
    for name, content in (
        ("A_dev_data", "id,sent0,sent1\n1,a,b\n2,c,d\n3,e,f\n"),
        ("A_dev_gold_answers", "1,0\n3,1\n"),
    ):
        (tmp_path / "comve" / f"subtask{name}.csv").write_text(content)
    (tmp_path / "comve" / "subtaskC_dev_gold_answers.csv").write_text("1,x, ,z\n2,x,y,z\n")
    loaded = load("comve", "validation", "files", str(tmp_path))
    assert loaded.examples[0].explanations == ("x", "z")
    assert loaded.dropped == {"no answer": 1, "no explanation": 1}


def test_a_bad_file_ends_the_command_with_one_line_and_no_traceback(tmp_path, command):
    told = esnli(tmp_path, ESNLI_HEAD + "1,neutral\n")
    choices = ("--source", "files", "--root", str(tmp_path), "--train-split", "validation", "--sampling", "balanced")
    ended = command("-m", "caref.data", "esnli", *choices)
    assert ended.returncode == 2
    assert ended.stderr.splitlines() == ["error: " + told.replace("ROOT", str(tmp_path))]
    assert ended.stdout == ""


def test_two_answers_to_one_id_are_refused_with_both_lines_and_the_same_answer_twice_is_one(tmp_path):
    sentences = "id,sent0,sent1\n7,A dog barks.,A dog meows.\n"
    reasons = "7,Dogs bark.,Cats meow.,It is a dog.\n"
    told = comve(tmp_path, sentences, "7,1\n7,1\n7,0\n", reasons)
    answers = "ROOT/comve/subtaskA_dev_gold_answers.csv"
    assert told == f"{answers}, line 3: id 7 is also at {answers}, line 1, which says otherwise; keep one of them"
    assert "line 2" in comve(tmp_path, sentences, "7,1\n", reasons + "7,Dogs bark.,Cats meow.,No.\n")
    assert "line 3" in comve(tmp_path, sentences + "7,A dog barks.,A dog flies.\n", "7,1\n", reasons)
    files = {"subtaskA_dev_data.csv": sentences, "subtaskA_dev_gold_answers.csv": "7,1\n7,1\n"}
    for name, content in {**files, "subtaskC_dev_gold_answers.csv": reasons * 2}.items():
        (tmp_path / "comve" / name).write_text(content)
    assert [example.label for example in load("comve", "validation", "files", str(tmp_path)).examples] == [1]


def test_two_questions_of_one_id_are_refused_with_both_lines(tmp_path):
    other = {**QUESTION, "answerKey": "C"}
    told = cos_e(tmp_path, jsonl(QUESTION, other), jsonl(EXPLANATION))
    assert "dev_rand_split.jsonl, line 2: id q1 is also at" in told and "line 1, which says otherwise" in told
    raw = {
        "ecqa.jsonl": jsonl({"id": "q1", "positives": ["It is y."]}),
        "author_split/val_ids.txt": "q1\n",
        "cqa/train_rand_split.jsonl": jsonl(QUESTION),
        "cqa/dev_rand_split.jsonl": jsonl(other),
    }
    told = refusal(tmp_path, "ecqa", raw)
    assert "ROOT/ecqa/cqa/dev_rand_split.jsonl, line 1: id q1 is also at ROOT/ecqa/cqa/train_rand_split.jsonl" in told
    raw["cqa/dev_rand_split.jsonl"] = jsonl(QUESTION)
    raw["ecqa.jsonl"] = jsonl(*({"id": "q1", "positives": [said]} for said in ("It is y.", "It is not x.")))
    assert "ROOT/ecqa/ecqa.jsonl, line 2: id q1 is also at ROOT/ecqa/ecqa.jsonl, line 1" in refusal(
        tmp_path, "ecqa", raw
    )
