"""Which cells a line names: experiments, sweeps, and keys on the line, composed as Hydra composes them."""

from itertools import product
from pathlib import Path

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.utils import create_config_search_path
from hydra.types import HydraContext, RunMode
from omegaconf import OmegaConf

from caref.config import schema
from caref.config.signature import described, signature
from caref.config.validation import validate
from caref.objectives.terms.ivra import Ivra
from caref.results import evidence
from hydra_plugins.caref_sweeper import CellSweeper, Composer

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def hydra():
    """Hydra over conf/, as run.py -m has it: (its context, the configuration of a line)."""
    from hydra.core.global_hydra import GlobalHydra
    from hydra.core.plugins import Plugins

    GlobalHydra.instance().clear()
    Plugins.instance()
    loader = ConfigLoaderImpl(create_config_search_path(str(ROOT / "conf")))

    def composed(*line: str):
        return loader.load_configuration("config", list(line), RunMode.MULTIRUN)

    return HydraContext(config_loader=loader, callbacks=None), composed


@pytest.fixture(scope="module")
def cells(hydra):
    """A function: the cells that a line names, each its overrides."""
    context, composed = hydra

    def of(*line: str) -> list[tuple[str, ...]]:
        whole = composed(*line)
        sweeper = CellSweeper(OmegaConf.to_container(whole.hydra.sweeper.grids), 1)
        sweeper._context = context
        return list(dict.fromkeys(sweeper._cells(OmegaConf.to_container(whole.hydra.overrides.task))))

    return of


@pytest.fixture(scope="module")
def jobs_of(hydra, cells):
    """A function: the jobs that a line's cells are, as the sweeper composes them."""
    context, composed = hydra

    def of(*line: str) -> list:
        compose = Composer(composed(*line), context)
        return [compose(cell) for cell in cells(*line)]

    return of


def rows(jobs) -> set[tuple[str, str, str]]:
    return {(job.peft.name, job.reg.term, job.dataset.name) for job in jobs}


DATASETS = ("ecqa", "cos_e", "comve", "esnli")
# Ten rows of Table 1, on each dataset.
RQ1 = set(product(("BASE", "DEC", "AQKV", "LAQ", "AQ"), ("sced",), DATASETS))
RQ2 = set(product(("BASE", "AQ"), ("cross_entropy", "sced"), DATASETS))
RQ3 = set(product(("AdaLoRA", "LoRA r=128", "LoRA r=4"), ("cross_entropy",), DATASETS)) | set(
    product(("AQ",), ("sced",), DATASETS)
)


@pytest.mark.parametrize(
    ("experiment", "expected"), [("rq1", RQ1), ("rq2", RQ2), ("rq3", RQ3), ("table1", RQ1 | RQ2 | RQ3)]
)
def test_each_research_question_names_its_rows_of_table_1_and_what_they_share_once(jobs_of, experiment, expected):
    jobs = jobs_of(f"+experiments={experiment}")
    assert rows(jobs) == expected
    marks = {signature(described(schema.plain(job), job.dataset.name, {})) for job in jobs}
    assert len(jobs) == len(expected) == len(marks)


def test_ivra_s_question_is_asked_of_its_model_with_mean_attention_beside_every_module(jobs_of):
    jobs = jobs_of("+experiments=ivra")
    asked = [(job.dataset.name, job.reg.term, job.reg.get("norm"), *job.reg.get("criteria", ())) for job in jobs]
    criteria = [(), ("sim",), ("comp",), ("suff",), ("cons",), ("sim", "comp", "suff", "cons")]
    trained = [(*one, *own) for one in product(("smat", "ivra"), ("softmax", "sparsemax")) for own in criteria]
    regs = [("cross_entropy", None), *trained]
    assert sorted(asked, key=str) == sorted(
        ((name, *reg) for name in ("esnli", "imdb", "fever") for reg in regs), key=str
    )
    for job in jobs:
        validate(job)
        assert job.model.path == "google/electra-base-discriminator" and job.dataset.target == "answer"
        assert {"erasure", "consistency", "simulatability"} <= set(job.evidence.measures)
        named = set(job.evidence.attributions)
        assert {"attention", "random"} <= named and ("ivra" in named) == (job.reg.term != "cross_entropy")
        assert job.reg.get("scope", "module") == "module" and job.peft.method == "full"


def test_in_small_each_criterion_s_module_stands_beside_the_untrained_one(jobs_of):
    by_question = {}
    for job in (*jobs_of("+experiments=ivra_small"), *jobs_of("+experiments=ivra_small_sim")):
        validate(job)
        assert job.model.kind == "classifier" and job.reg.scope == "module" and job.splits == "0:5"
        assert job.dataset.max_tokens == {"esnli": 128, "imdb": 64}[job.dataset.name]
        assert job.reg.student_lr == (0.03 if job.reg.criteria == ["sim"] else Ivra.student_lr)
        asked = (job.dataset.name, job.dataset.eval_size, evidence.mark(schema.plain(job)["evidence"]))
        by_question.setdefault(asked, []).append(tuple(job.reg.criteria))
    erased, told = [(), ("comp",), ("suff",), ("cons",)], [(), ("sim",)]
    assert sorted(by_question.values(), key=len) == [told, told, erased, erased]
    assert {(name, size) for name, size, _ in by_question} == set(product(("esnli", "imdb"), (96, 480)))


def test_beside_smollm2_trained_modules_differ_from_the_untrained_one_in_their_training_alone(jobs_of):
    untrained, *trained = (schema.plain(job) for job in jobs_of("+experiments=ivra_smollm2") if validate(job))
    assert [job["reg"].pop("criteria") for job in trained] == [["comp"], ["suff"], ["cons"]]
    assert [job["reg"].pop("module_lr") for job in trained] == [0.025] * 3
    assert untrained["reg"].pop("criteria") == [] and untrained["reg"].pop("module_lr")
    assert all(job == untrained for job in trained) and untrained["model"]["name"] == "SmolLM2-135M"


def test_fayyaz_s_setting_is_answers_alone_by_epoch(jobs_of):
    """FAITHFULNESS 3.1: 5,000 train, 300 test, LoRA r 32, alpha 16, dropout 0.05, batch 64, 10 epochs, warm-up 10."""
    jobs = jobs_of("+experiments=fayyaz")
    assert rows(jobs) == {("LoRA r=32", "cross_entropy", name) for name in ("esnli", "fever")}
    for job in jobs:
        validate(job)
        asked, train = job.dataset, job.train
        assert (asked.target, asked.sampling, asked.eval_split) == ("answer", "balanced", "test")
        assert (asked.train_size, asked.eval_size, job.peft.r, job.peft.alpha, job.peft.dropout) == (
            5000,
            300,
            32,
            16,
            0.05,
        )
        assert (train.epochs, train.batch_size, train.warmup_steps, train.lr) == (10, 64, 10, 7e-6)
        assert job.evidence.name == "full" and list(job.evidence.epochs) == list(range(11))
        assert job.evidence.removal == "mask" and {"prompting", "prompting_top"} < set(job.evidence.attributions)


@pytest.mark.parametrize("line", ["+experiments=figure1d", "+sweeps=alpha_beta", "+sweeps=[alpha_beta,feb_shards]"])
def test_the_sensitivity_grid_is_the_papers(jobs_of, line):
    jobs = jobs_of(line)
    assert [(job.reg.alpha, job.reg.beta) for job in jobs] == list(product((1, 1.5, 2, 2.5), (0, 0.5, 1, 2)))
    assert rows(jobs) == {("AQ", "sced", "esnli")}


def test_the_objectives_grid_has_every_combination_of_its_four_numbers_and_the_cells_without(jobs_of):
    jobs = jobs_of("+sweeps=objective", "peft=aq,base")
    regularised = [job.reg for job in jobs if job.reg.term == "sced"]
    numbers = {(reg.alpha, reg.beta, reg.lambda_sced, reg.lambda_kl) for reg in regularised}
    axes = [len(set(axis)) for axis in zip(*numbers, strict=True)]
    assert axes == [4, 4, 3, 3] and len(numbers) == 144 and len(regularised) == 2 * 144
    assert rows(jobs) == {(peft, reg, "esnli") for peft in ("AQ", "BASE") for reg in ("sced", "cross_entropy")}


def test_a_key_on_the_command_line_takes_the_place_of_the_grids(cells):
    assert len(cells("+experiments=table1")) == 40
    assert len(cells("+experiments=table1", "dataset=ecqa")) == 10
    chosen = cells("+experiments=table1", "dataset=ecqa,comve", "reg.alpha=1,2")
    assert {override for cell in chosen for override in cell if override.startswith("dataset=")} == {
        "dataset=ecqa",
        "dataset=comve",
    }


@pytest.mark.parametrize(
    "line",
    [
        ("peft=aq,adalora", "dataset=ecqa,esnli", "reg=sced,none", "train.lr=1e-4,3e-5"),
        ("model=tiny_t5,flan_t5_base", "bertscore=minilm,roberta_large", "peft=aq,laq"),  # the same part by two choices
        ("dataset=ecqa", "reg.alpha=1,2", "+model.config.extra=3,4", "model=tiny_t5"),
    ],
)
def test_a_cell_is_composed_as_hydra_composes_it(hydra, cells, line):
    context, composed = hydra
    master = composed(*line)
    compose = Composer(master, context)
    for cell in cells(*line):
        whole = context.config_loader.load_sweep_config(master, list(cell))
        expected = OmegaConf.to_container(whole, resolve=False)
        del expected["hydra"]
        job = compose(cell)
        assert OmegaConf.to_container(job, resolve=False) == expected, cell
        assert {part: OmegaConf.get_type(job, part) for part in job} == {
            part: OmegaConf.get_type(whole, part) for part in job
        }
