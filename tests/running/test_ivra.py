"""Attention trained to explain, as a job: beside the model it leaves the model alone; saved, counted, packed, read."""

import math
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from caref.errors import UserError
from caref.results import evidence, store
from caref.running import jobs

SMALL = (
    *("model=tiny_t5", "source=demo", "dataset=comve", "dataset.sampling=balanced", "dataset.eval_size=6"),
    *("dataset.train_size=8", "train.epochs=3", "train.lr=1e-2", "train.precision=fp32", "evaluation.max_new_tokens=6"),
    "train.save=true",
)
ALL = ("reg=ivra", "reg.criteria=[comp,suff,cons]")
READ = ("evidence=full", "evidence.attributions=[ivra,random]", "evidence.measures=[erasure]")


@pytest.fixture
def run(composed, tmp_path):
    """A function: run a small job of these overrides; its records and its cell's folder."""

    def run_job(*overrides: str, results: str = "results"):
        job = composed(*SMALL, f"results_dir={tmp_path / results}", *overrides)
        records = jobs.run(job)
        return records, jobs.plan(job)

    return run_job


def trained(planned, split: int = 0) -> dict[str, torch.Tensor]:
    return load_file(planned.cell / "trained" / f"{split:03d}" / "trained.safetensors")


def explaining(planned, split: int = 0) -> dict[str, torch.Tensor]:
    return load_file(planned.cell / "trained" / f"{split:03d}" / "explainer.safetensors")


def test_beside_the_model_the_model_is_what_it_is_without_bit_for_bit(run):
    same = ("splits=0", "model.dropout=0.2", "reg.alpha=1.5", "reg.lambda_sced=0.2", "reg.lambda_kl=0.3")
    (_, plain), (_, beside) = run("reg=sced", *same), run(*ALL, *same)
    assert trained(plain).keys() == trained(beside).keys()
    assert all(torch.equal(weight, trained(beside)[name]) for name, weight in trained(plain).items())
    assert store.read_predictions(plain.cell, 0) == store.read_predictions(beside.cell, 0)
    _, joint = run(*ALL, *same, "reg.scope=joint")
    assert not all(torch.equal(weight, trained(joint)[name]) for name, weight in trained(plain).items())


def test_its_weights_move_are_counted_kept_and_reset_between_splits(run):
    records, planned = run("splits=0:2", *ALL, "pack=1")
    _, second = run("splits=1", *ALL, results="second")
    weights = explaining(planned, 1)
    assert {name: tuple(weight.shape) for name, weight in weights.items()} == {
        "cross_queries": (2, 4, 8),
        "cross_keys": (2, 4, 8),
        "cross_heads": (2, 4),
        "cross_layers": (2,),
        "log_temperature": (),
    }
    assert all((weight != 1).any() for weight in weights.values())
    assert all(torch.equal(weight, explaining(second, 1)[name]) for name, weight in weights.items())
    assert not torch.equal(weights["cross_keys"], explaining(planned, 0)["cross_keys"])
    assert records[0]["counts"]["trainable"] == 4096 + 138 + 1
    assert {"ce", "comp", "suff", "cons"} <= records[0]["training"].keys()


def test_without_a_criterion_it_stays_as_it_starts_and_the_model_learns_what_it_learns_alone(run):
    """The untrained module, whatever else is decayed: what trained ones are held against."""
    same = ("splits=0", "train.weight_decay=0.5")
    (_, plain), (records, untrained) = run("reg=none", *same), run("reg=ivra", "reg.criteria=[]", *same, *READ)
    start = explaining(untrained)
    assert start.pop("log_temperature") == pytest.approx(math.log(0.02))
    assert all((weight == 1).all() for weight in start.values())
    assert all(torch.equal(weight, trained(untrained)[name]) for name, weight in trained(plain).items())
    assert store.read_predictions(plain.cell, 0) == store.read_predictions(untrained.cell, 0)
    assert not {"sim", "comp", "suff", "cons"} & records[0]["training"].keys()
    assert all(sum(row["scores"]["ivra"]) == pytest.approx(1, abs=1e-3) for row in rows(untrained, 0))


@pytest.mark.parametrize(("model", "reg"), [("tiny_llama", "ivra"), ("tiny_t5", "smat")])
def test_packed_splits_are_what_each_is_alone_their_evidence_too(model, reg, run, capsys):
    asked = (f"model={model}", f"reg={reg}", "reg.criteria=[comp,suff,cons]", "splits=0:2", *READ)
    (alone, of_alone), (packed, of_packed) = (run(*asked, f"pack={size}", results=str(size)) for size in (1, 2))
    assert "one by one" not in capsys.readouterr().err
    for split in range(2):
        for name, weight in explaining(of_alone, split).items():
            torch.testing.assert_close(weight, explaining(of_packed, split)[name], rtol=1e-3, atol=1e-4, msg=name)
        for name, value in alone[split]["training"].items():
            assert packed[split]["training"][name] == pytest.approx(value, rel=1e-2, abs=1e-4), name
        own, other = (
            evidence.read_rows(evidence.folder_of(of.cell, of.values["evidence"]), split)
            for of in (of_alone, of_packed)
        )
        for row, same in zip(own, other, strict=True):
            assert sum(row["scores"]["ivra"]) == pytest.approx(1, abs=1e-3) and min(row["scores"]["ivra"]) >= 0
            assert same["scores"]["ivra"] == pytest.approx(row["scores"]["ivra"], rel=1e-2, abs=1e-4)


def test_where_no_such_module_is_trained_the_attribution_is_refused_before_any_split(run, tmp_path):
    with pytest.raises(UserError, match="reads the module that reg=ivra or reg=smat trains"):
        run("splits=0", "reg=none", *READ)
    assert not list(tmp_path.glob("results/*/splits/*.json"))


def rows(planned, split: int) -> list[dict]:
    return evidence.read_rows(evidence.folder_of(planned.cell, planned.values["evidence"]), split)


def test_another_cells_module_explains_as_it_does_there_where_the_models_are_the_same_and_elsewhere_too(run, tmp_path):
    """Beside the model, scope module, it leaves the model as it is without: so the same module says the same there."""
    _, lender = run("splits=0:2", "reg=ivra", "reg.criteria=[cons]", "reg.norm=sparsemax", *READ)
    lent = (*READ, f"evidence.module={lender.cell}", "splits=0:2")
    _, without = run("reg=none", *lent)
    assert [rows(without, split) for split in (0, 1)] == [rows(lender, split) for split in (0, 1)]
    assert rows(without, 0) != rows(without, 1)
    _, own = run("reg=smat", *lent)  # which has a module of its own
    assert [row["scores"]["ivra"] for row in rows(own, 1)] == [row["scores"]["ivra"] for row in rows(lender, 1)]
    _, other = run("reg=none", "dataset=esnli", *lent)
    assert all(sum(row["scores"]["ivra"]) == pytest.approx(1, abs=1e-3) for row in rows(other, 0))
    folder = evidence.folder_of(without.cell, without.values["evidence"])
    assert f"module: {lender.signature}" in (folder / "asked.yaml").read_text()
    marks = [evidence.read_split(folder, split)["run"]["module"] for split in (0, 1)]
    assert len(set(marks)) == 2 and all(len(mark) == 16 for mark in marks)
    moved = tmp_path / "moved" / "by another name"
    shutil.copytree(lender.cell, moved)
    _, again = run("reg=none", *READ, f"evidence.module='{moved}'", "splits=0:2")
    assert again.values["evidence"] == without.values["evidence"]  # the same question, wherever the modules lie


def test_modules_that_cannot_explain_here_are_refused_before_any_split(run, tmp_path):
    _, lender = run("splits=0", "reg=ivra", "reg.criteria=[cons]")
    _, plain = run("splits=0", "reg=none")
    _, unsaved = run("splits=0", "reg=ivra", "reg.criteria=[comp]", "train.save=false")
    (tmp_path / "empty").mkdir()
    asked, other = ("splits=0", "reg=none", "dataset=esnli", *READ), "model=tiny_llama"
    for overrides, told in (
        (
            (f"evidence.module={lender.cell}", "splits=0:3"),
            "has kept no module of splits 1-2; run its line with train.s",
        ),
        ((f"evidence.module={unsaved.cell}",), "has kept no module of splits 0"),
        ((f"evidence.module={plain.cell}",), "trained no module, its reg.term is cross_entropy"),
        ((f"evidence.module={tmp_path / 'empty'}",), "has no config.yaml that says what it is"),
        ((f"evidence.module={lender.cell}", other), r"listened to another model \(tiny T5, not tiny Llama\)"),
        ((f"evidence.module={lender.cell}", "evidence.attributions=[random]"), "ivra alone reads it"),
    ):
        with pytest.raises(UserError, match=f"^evidence.module=.*{told}"):
            run(*asked, *overrides)
    weights = lender.cell / "trained" / "000" / "explainer.safetensors"
    save_file(
        {name: weight[..., :1].contiguous() for name, weight in load_file(weights).items() if weight.ndim}, weights
    )
    with pytest.raises(UserError, match="the weights of its split 0 are of attention of other shapes"):
        run(*asked, f"evidence.module={lender.cell}")
    assert len(list(tmp_path.glob("results/*/splits/*.json"))) == 3


@pytest.mark.parametrize(
    ("overrides", "told"),
    [
        (("reg.criteria=[comp,sims]",), r"reg.criteria=\['comp', 'sims'\]: must be some of sim, comp, suff, cons"),
        (("reg.lambda_criteria=0",), "reg.lambda_criteria=0.0: must be above 0"),
        (("reg.criteria=[sim]", "reg.reading=joint"), "reg.reading=joint: has no scores that a student could learn"),
        (("reg.student_lr=0",), "reg.student_lr=0.0: must be above 0"),
        (("reg.choosing=hard",), "reg.choosing=hard: passes the module no gradient"),
        (("reg.choosing=hard", "reg.criteria=[comp,cons]"), "reg.choosing=hard: passes the module no gradient"),
        (("reg.criteria=[]", "reg.slope=0.1"), r"reg.slope=0.1: criteria=\[\] do not read it, comp or suff would"),
        (("reg.suff_margin=0.2",), r"reg.suff_margin=0.2: criteria=\[comp\] do not read it, suff would"),
        (("reg.student_lr=1",), r"reg.student_lr=1.0: criteria=\[comp\] do not read it, sim would"),
        (("reg.alignment=positions",), r"reg.alignment=positions: criteria=\[comp\] do not read it, cons would"),
        (("reg.scope=joint", "reg.choosing=hard", "reg.slope=0.1"), "reg.slope=0.1: is straight_through's"),
        (("reg.criteria=[suff]", "reg.sufficiency=kl", "reg.suff_margin=0.2"), "reg.suff_margin=0.2: sufficiency=kl"),
        (("reg.reading=joint", "reg.temperature=0.1"), "reg.temperature=0.1: is reading=mixture's"),
        (("reg.norm=entmax",), "reg.norm=entmax: must be one of softmax, sparsemax"),
        (("reg.selection=token",), "reg.selection=token: must be one of feature, head, layer, all"),
        (("reg.temperature=0",), "reg.temperature=0.0: must be above 0"),
        (("reg.slope=0",), "reg.slope=0.0: must be above 0"),
        (("reg.comp_margin=-1",), "reg.comp_margin=-1.0: must be at least 0"),
        (("reg.site=self",), "reg.site=self: t5 has no such attention"),
        (("peft=prefix",), "choose another peft"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(overrides, told, run, tmp_path):
    with pytest.raises(UserError, match=told):
        run("splits=0", "reg=ivra", *overrides)
    assert not list(tmp_path.glob("results/*/splits/*.json"))


def test_a_module_that_no_criterion_moves_stays_as_it_starts(run):
    """As the untrained one, which it is held against, does: one example has no pairs, and no weight decays."""
    alone = ("splits=0", "reg=ivra", "reg.criteria=[cons]", "train.batch_size=1")
    (_, planned), (_, decayed) = run(*alone), run(*alone, "reg.module_decay=0.5")
    starts = explaining(planned)["log_temperature"].item()
    assert starts == pytest.approx(math.log(0.02), abs=1e-6)
    assert all((weight == 1).all() for name, weight in explaining(planned).items() if name != "log_temperature")
    assert all((weight != 1).all() for weight in explaining(decayed).values())


def test_students_learn_one_by_one_which_is_said_and_they_move_the_module(run, capsys):
    records, planned = run("splits=0:2", "reg=ivra", "reg.criteria=[sim]", "pack=2")
    assert "splits run one by one: reg.criteria=sim: each has a student of its own" in capsys.readouterr().err
    assert records[0]["training"]["sim"] > 0
    assert all((weight != 1).any() for weight in explaining(planned).values())
