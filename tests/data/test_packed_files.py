"""Files of a release that are packed by gzip, or serve two datasets."""

import gzip
import json

import pytest

from caref.data import sources
from caref.data.prompts import text
from caref.errors import UserError


@pytest.mark.parametrize("dataset", ["comve", "ecqa", "esnli", "cos_e_v1.11"])
def test_a_release_packed_by_gzip_is_the_same_release(data_root, tmp_path, dataset):
    for folder in {dataset, "ecqa/cqa" if dataset == "cos_e_v1.11" else dataset}:
        for path in (data_root / folder).rglob("*.*"):
            packed = tmp_path / path.relative_to(data_root).with_name(path.name + ".gz")
            packed.parent.mkdir(parents=True, exist_ok=True)
            packed.write_bytes(gzip.compress(path.read_bytes(), 1))
    for side in ("train", "validation"):
        packed, plain = (sources.load(dataset, side, "files", str(root)) for root in (tmp_path, data_root))
        assert packed.examples == plain.examples and packed.dropped == plain.dropped


def test_a_broken_packed_file_is_told(tmp_path):
    (tmp_path / "esnli").mkdir()
    path = tmp_path / "esnli" / "esnli_dev.csv.gz"
    content = gzip.compress(b"pairID,gold_label,Sentence1,Sentence2,Explanation_1\n1,neutral,a,b\n")
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"esnli_dev.csv.gz, line 2: 4 cells where 5 belong"):
        sources.load("esnli", "validation", "files", str(tmp_path))
    for broken in (content[:-12], b"plain text", content[:20] + b"xxxx" + content[24:]):
        path.write_bytes(broken)
        with pytest.raises(UserError, match=r"esnli_dev.csv.gz: cannot be unpacked \("):
            sources.load("esnli", "validation", "files", str(tmp_path))


def test_one_question_in_two_files_serves_both_versions(data_root):
    loaded = sources.load("cos_e_v1.11", "validation", "files", str(data_root))
    questions = [json.loads(line) for line in (data_root / "ecqa" / "cqa" / "dev_rand_split.jsonl").open()]
    asked = {row["id"]: row for row in questions}
    for example in loaded.examples:
        row = asked[example.id]
        assert example.fields["question"] == row["question"]["stem"].strip() and len(example.choices) == 5
        key = {choice["label"]: choice["text"].strip() for choice in row["question"]["choices"]}[row["answerKey"]]
        assert example.answer == key
        assert text("cos_e_v1.11", example).source.count("(e) ") >= 1
