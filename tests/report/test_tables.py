"""What a job and a sweep print when they end."""

import numpy as np
from made_up_cells import spread

from caref.analysis import every_cell
from caref.config import schema
from caref.models.methods.adalora import AdaLora
from caref.models.methods.lora import Lora
from caref.models.methods.projections import Projections
from caref.objectives.terms.ivra import Ivra
from caref.objectives.terms.sced import Sced
from caref.report.tables import job_table, sweep_table


def test_a_jobs_table_has_mean_deviation_and_number_of_splits(make_cell):
    text = job_table(make_cell("AQ", "esnli", spread(81.25, 1.5, 0)).records)
    lines = text.splitlines()
    assert lines[0].split() == ["mean", "std", "splits"]
    accuracy = next(line for line in lines if line.startswith("accuracy"))
    assert accuracy.split()[-4:] == ["81.25", "±", "1.50", "60"]
    assert [line.split("(")[0].split("  ")[0].strip() for line in lines[2:]] == [
        "accuracy",
        "nBERT",
        "strict nBERT",
        "similarity",
        "broken",
        "explanation length",
        "distinct-1",
        "distinct-2",
    ]
    assert len({len(line) for line in lines[1:]}) == 1  # columns stand under each other


def test_a_job_without_a_finished_split_says_so():
    assert job_table({}) == "no split is finished" and sweep_table([]) == "no cell holds a record"


def test_a_sweeps_table_has_one_line_a_cell_and_says_how_much_is_done(make_cell):
    cells = [
        make_cell(row, dataset, [80.0, 82.0], reg=Sced(name="SCED", alpha=alpha))
        for dataset in ("ecqa", "esnli")
        for row in ("AQ", "LoRA-R4")
        for alpha in (1.0, 2.0)
    ]
    cells[0].failed[2] = {"split": 2, "error": "loss is nan"}
    lines = sweep_table(cells, wanted=3).splitlines()
    assert len(lines) == 2 + 8 + 1
    assert lines[2].startswith("ECQA") and "AQ" in lines[2] and "SCED α=1 β=1" in lines[2]
    assert all("2 of 3" in line and "81.00 ± 1.00" in line for line in lines[2:10])
    assert lines[10] == f"{cells[0].signature}: failed: splits 2 (loss is nan)"
    assert sweep_table(cells, wanted={cell.signature: 2 for cell in cells}).count("2 of 2") == 8


def test_demo_data_beside_real_data_is_called_so_in_its_line(make_cell):
    cells = [make_cell("AQ", "esnli", [score], source=source) for score, source in ((80.0, "files"), (70.0, "demo"))]
    cells[1].signature = "demo"
    told = {line.split("  ")[0]: line for line in sweep_table(cells).splitlines() if "1 of 60" in line}
    assert "80.00" in told["e-SNLI"] and "70.00" in told["e-SNLI (demo)"]
    assert "(demo)" not in sweep_table(cells[1:]) and "Demo data: " in sweep_table(cells[1:])


def test_what_else_differs_is_shown(make_cell):
    cells = [make_cell("AQ", "esnli", [80.0], train=schema.Train(lr=lr)) for lr in (3e-5, 5e-4)]
    text = sweep_table(cells)
    assert "train.lr=3e-05" in text and "train.lr=0.0005" in text


def test_trained_attention_is_told_apart_by_its_weight_and_by_whatever_else_differs(make_cell):
    regs = [Ivra(), Ivra(criteria=[]), Ivra(scope="joint"), Ivra(site="self")]
    found = every_cell.lines(make_cell("AQ", "esnli", [80.0], reg=reg) for reg in regs)
    assert [(line.reg, line.settings) for line in found] == [
        ("IvRA comp softmax joint λ=1", ""),
        ("IvRA comp softmax λ=1", "reg.site=None"),
        ("IvRA comp softmax λ=1", "reg.site=self"),
        ("IvRA untrained softmax", ""),
    ]


def test_pefts_of_one_label_are_told_apart_by_whatever_else_differs(make_cell):
    optional = [Lora(options={"use_rslora": True, "loftq_config": {"bits": 4}}), Lora(options={"use_rslora": False})]
    pefts = {"LoRA-R4": [Lora(), *optional], "AdaLoRA": [AdaLora(), AdaLora(alpha=8.0)], "AQ": [Projections()]}
    cells = [make_cell(row, "esnli", [80.0], peft=one) for row, of in pefts.items() for one in of]
    del cells[0].config["peft"]["options"]  # where there are none, nothing is said
    assert [(line.peft, line.settings) for line in every_cell.lines(cells)] == [
        ("AQ", ""),
        ("AdaLoRA r=32→8", "peft.alpha=32.0"),
        ("AdaLoRA r=32→8", "peft.alpha=8.0"),
        ("LoRA r=4 α=8", ""),
        ("LoRA r=4 α=8", "peft.options.loftq_config={'bits': 4}, peft.options.use_rslora=True"),
        ("LoRA r=4 α=8", "peft.options.use_rslora=False"),
    ]


def test_cells_that_only_answer_stand_beside_others_without_a_word_on_how_explanations_are_scored(make_cell):
    def told(*others):
        answers = make_cell("AQ", "esnli", [80.0], dataset=schema.Dataset(name="esnli", target="answer"))
        del answers.config["bertscore"]
        explains = [make_cell("AQ", "esnli", [80.0], **other) for other in ({}, *others)]
        return [line.settings for line in every_cell.lines([answers, *explains])]

    assert told() == ["", ""]
    other = schema.BertScore(model="other", layer=3)
    assert told({"bertscore": other}).count("") == 1  # of two that explain it is told


def test_the_best_is_told_among_cells_on_the_same_data_and_splits_alone(make_cell):
    def best_of(*cells):
        leading = every_cell.best(every_cell.lines(cells))
        return [(cell.signature, "nbert") in leading for cell in cells]

    usual = [make_cell(row, "esnli", [score] * 6) for row, score in (("AQ", 80.0), ("LoRA-R4", 81.0))]
    assert best_of(*usual) == [False, True] and best_of(usual[0]) == [False]
    larger = schema.Dataset(name="esnli", train_size=480, eval_split="test")
    others = [
        make_cell("AQ", "esnli", [85.0] * 6, dataset=larger),
        make_cell("BASE", "esnli", [86.0]),
        make_cell("BASE", "esnli", [87.0] * 6, bertscore=schema.BertScore(model="other", layer=3)),
        make_cell("DEC", "esnli", [88.0] * 6, record={"fingerprint": "other"}),
    ]
    for other in others:
        assert best_of(*usual, other) == [False, True, False]
    assert best_of(*usual, *others) == [False, True, False, False, False, False]
    assert best_of(make_cell("BASE", "esnli", [84.0] * 6, dataset=larger), others[0]) == [False, True]


def test_demo_data_is_called_so(make_cell):
    assert "not the paper's datasets" in sweep_table([make_cell("AQ", "esnli", [80.0], source="demo")])
    assert "emo" not in sweep_table([make_cell("AQ", "esnli", [80.0])])


def test_a_refused_cell_has_no_figures(make_cell):
    cell = make_cell("AQ", "esnli", list(np.arange(4.0)))
    cell.records[0]["fingerprint"] = "another"
    text = sweep_table([cell])
    assert "refused, mixed data" in text and "±" not in text
