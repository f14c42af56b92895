"""Which row of the paper's table a configuration belongs to, and when the paper's numbers may stand beside."""

import csv

import pytest

from caref.analysis import paper
from caref.config import schema
from caref.config.signature import described

ROWS = {
    "CAREF-BASE": "peft=base reg=sced",
    "CAREF-DEC": "peft=dec reg=sced",
    "CAREF-AQKV": "peft=aqkv reg=sced",
    "CAREF-LAQ": "peft=laq reg=sced",
    "CAREF-AQ": "peft=aq reg=sced",
    "BASE": "peft=base reg=none",
    "AQ": "peft=aq reg=none",
    "AdaLoRA": "peft=adalora reg=none",
    "LoRA-R128": "peft=lora_r128 reg=none",
    "LoRA-R4": "peft=lora_r4 reg=none",
}


@pytest.mark.parametrize("row", ROWS)
def test_each_row_is_what_the_configuration_files_compose(composed, row):
    job = composed(*ROWS[row].split(), "model=flan_t5_large")
    assert paper.row_name(described(schema.plain(job), "f", {})) == row


@pytest.mark.parametrize(
    "overrides",
    [
        "peft=aq reg=sced reg.alpha=1",
        "peft=aq reg=sced reg.lambda_kl=0",
        "peft=aq reg=sced peft.scope=decoder",
        "peft=aq reg=entropy",
        "peft=lora_r4 reg=sced",
        "peft=lora_r4 reg=none peft.r=8",
        "peft=lora_r4 reg=none +peft.options.use_rslora=true",
        "peft=adalora reg=none +peft.options.layers_to_transform=[0]",
        "peft=dora reg=none",
        "peft=ia3 reg=none",
    ],
)
def test_what_the_paper_does_not_have_fits_no_row(composed, overrides):
    assert paper.row_name(described(schema.plain(composed(*overrides.split())), "f", {})) is None


def test_a_given_name_plays_no_part(composed):
    job = composed("peft=lora_r4", "reg=none", "peft.name=AQ")
    assert paper.row_name(described(schema.plain(job), "f", {})) == "LoRA-R4"


def test_the_paper_prints_fourteen_rows_and_its_numbers_are_all_there():
    assert [sum(row.section == section for row in paper.rows()) for section in paper.SECTIONS] == [5, 4, 4]
    assert paper.printed("CAREF-AQ", "nbert", "esnli") == (81.97, 1.80)
    assert paper.printed("CAREF-AQ", "accuracy", "average") == (89.04, None)
    for row in paper.rows():
        for metric in paper.METRICS:
            for dataset in paper.DATASETS:
                mean, std = paper.printed(row.name, metric, dataset)
                assert 0 < mean <= 100 and 0 < std < 10


def test_a_row_printed_in_two_sections_has_one_set_of_numbers():
    with open(paper.__file__.replace("paper.py", "paper.csv"), encoding="utf-8") as file:
        seen = {}
        for line in csv.DictReader(file):
            key = line["model"], line["metric"], line["dataset"]
            assert seen.setdefault(key, line["mean"]) == line["mean"]


@pytest.mark.parametrize(
    ("overrides", "source", "reason"),
    [
        ("model=flan_t5_large", "files", None),
        ("model=flan_t5_large", "hub", None),
        ("model=flan_t5_large model.path=/models/flan-t5-large", "files", None),
        ("model=flan_t5_large", "demo", "demo data"),
        ("model=flan_t5_base", "files", "the paper's is Flan-T5-large"),
        ("model=tiny_t5", "files", "random weights"),
        ("model=flan_t5_large bertscore=minilm", "files", "roberta-large, layer 17"),
    ],
)
def test_the_papers_numbers_stand_only_beside_the_papers_model_data_and_measure(composed, overrides, source, reason):
    found = paper.why_not_comparable(described(schema.plain(composed(*overrides.split())), "f", {}), source)
    assert found is None if reason is None else reason in found


def test_departures_from_the_protocol_are_named(composed):
    assert paper.departures(described(schema.plain(composed()), "f", {})) == []
    found = paper.departures(described(schema.plain(composed("train.epochs=5", "dataset.train_split=test")), "f", {}))
    assert found == ["dataset.train_split test (paper: train)", "train.epochs 5 (paper: 50)"]


def test_every_printed_average_is_the_mean_of_the_four_datasets_and_so_is_similaritys():
    for name in {row.name for row in paper.rows()}:
        for metric in paper.METRICS:
            mean = sum(paper.printed(name, metric, dataset)[0] for dataset in paper.DATASETS) / 4
            assert abs(paper.printed(name, metric, "average")[0] - mean) < 0.0051  # of means that were not yet rounded
        mean = sum(paper.similarity(name, dataset) for dataset in paper.DATASETS) / 4
        assert paper.similarity(name, "average") == pytest.approx(mean)
