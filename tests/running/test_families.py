"""Splits side by side are what each is alone, whatever the family: where they would not be they run one by one."""

import math
import random

import pytest
import torch
from families import SHAPES

from caref import training
from caref.config.schema import Model, Train
from caref.data.batches import Encoded
from caref.errors import SplitFailed, UserError
from caref.models import backbones
from caref.models.packed import packed_part
from caref.models.rows import NotInRows
from caref.objectives import objective
from caref.results import store
from caref.running import company, jobs

OBJECTIVE = objective.build({"term": "sced", "alpha": 2.0, "beta": 1.0, "lambda_sced": 0.1, "lambda_kl": 0.1})
FUSED = ("falcon", "gpt_neox", "phi3", "mamba", "prophetnet")  # no q projection of its own
ALONE = {
    "led": "is given",  # its encoder puts time before the batch
    "fsmt": "is given",
    "opt": "in company of another",  # it drops out batch and time in one dimension
    "prophetnet": "in company of another",
    "switch_transformers": "random numbers of its own",  # its router's jitter
}
SMALL = ("source=demo", "bertscore=minilm", "dataset=comve", "dataset.eval_size=4", "dataset.train_size=6")
SMALL += ("train.epochs=2", "train.lr=0.01", "train.batch_size=2", "train.precision=fp32", "evaluation.batch_size=4")
SMALL += ("evaluation.max_new_tokens=8", "model=tiny_llama")


def examples(seed: int, count: int) -> list[Encoded]:
    """Random tokens, each example of its own length."""
    draw = random.Random(seed)

    def tokens(least: int, most: int) -> tuple[int, ...]:
        return (*(draw.randrange(3, 259) for _ in range(draw.randint(least, most))), 1)

    return [Encoded(tokens(8, 40), tokens(3, 16), answer_length=2) for _ in range(count)]


def loaded(family: str, dtype: torch.dtype = torch.float32, **changed) -> backbones.Backbone:
    shape = {"model_type": family} | SHAPES[family] | changed
    return backbones.load(Model(name=family, tokenizer="byte", config=shape), dtype=dtype)


@pytest.fixture
def choice(composed):
    """A function: a choice of conf/peft that a family has."""

    def choose(family: str, wanted: str = "aq"):
        return composed("model=tiny_t5", f"peft={'lora_r4' if family in FUSED else wanted}").peft

    return choose


@pytest.mark.parametrize("dtype", (torch.float32, torch.bfloat16))
@pytest.mark.parametrize("family", [family for family in SHAPES if family != "mamba"])  # PEFT refuses it
def test_what_company_would_change_is_found_and_nothing_else(family, dtype, choice):
    backbone = loaded(family, dtype)
    tensors = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    states = torch.get_rng_state()
    reason = company.why_alone(backbone, choice(family), OBJECTIVE, examples(1, 12), 7004)
    assert (ALONE[family] in reason) if family in ALONE else reason is None, reason
    assert torch.equal(torch.get_rng_state(), states)
    assert all(torch.equal(tensors[name], tensor) for name, tensor in backbone.model.state_dict().items())
    assert not backbone.model._forward_pre_hooks


@pytest.mark.parametrize("family", ("led", "opt", "switch_transformers"))
def test_an_adapter_is_refused_what_are_not_the_batchs_rows(family, composed):
    shape = {"router_jitter_noise": 0.0} if family == "switch_transformers" else {}
    peft = composed("model=tiny_t5", "peft=lora_r4").peft
    reason = company.why_alone(loaded(family, **shape), peft, OBJECTIVE, examples(1, 12), 7004)
    assert reason.startswith("NotInRows: ") and "is given" in reason and "not the 4 rows of 2 splits" in reason


def test_a_packed_module_refuses_a_part_of_the_batch(composed):
    backbone = loaded("mixtral")
    with packed_part(backbone, composed("model=tiny_t5", "peft=aq").peft, (7004, 3639), total_steps=4) as part:
        part.model(input_ids=torch.ones(4, 5, dtype=torch.long))
        with pytest.raises(NotInRows, match=r"q_proj is given \(8, 5, 32\), not the 4 rows of 2 splits"):
            backbone.model.model.layers[0].self_attn.q_proj(torch.zeros(8, 5, 32))
        with pytest.raises(NotInRows, match="not the 3 rows of 2 splits"):
            part.model(input_ids=torch.ones(3, 5, dtype=torch.long))


def test_a_step_that_breaks_runs_one_by_one(composed):
    peft = composed("model=tiny_t5", "peft=aq").peft
    too_long = [Encoded((5,) * 600, (5, 1), 1) for _ in range(4)]
    reason = company.why_alone(loaded("opt"), peft, OBJECTIVE, too_long, 7004)
    assert reason is not None and "\n" not in reason


@pytest.mark.parametrize("wanted", ("aq", "adalora"))
def test_a_step_whose_trained_layers_are_all_dropped_trains_nothing_and_ends_nothing(wanted, composed):
    backbone = loaded("mbart", encoder_layerdrop=0.6, decoder_layerdrop=0.6)
    small = ("peft.init_r=6", "peft.target_r=2", "peft.interval=1") if wanted == "adalora" else ()
    peft = composed("model=tiny_t5", f"peft={wanted}", *small).peft
    settings = Train(epochs=6, lr=0.01, batch_size=2, warmup_steps=0)
    with packed_part(backbone, peft, (7004,), total_steps=36) as part:
        before = [parameter.detach().clone() for parameter in part.parameters]
        (ended,) = training.fit(part, backbone, OBJECTIVE, [examples(1, 12)], settings, (7004,))
        assert math.isfinite(ended["loss"])
        assert not all(map(torch.equal, before, part.parameters))


@pytest.mark.long
@pytest.mark.parametrize("family", SHAPES)
def test_records_are_the_same_whatever_the_pack(family, composed, tmp_path, capsys):
    kept = {}
    for pack in (1, 3):
        wanted = "lora_r4" if family in FUSED else "aq"
        job = composed(*SMALL, f"peft={wanted}", "splits=0:3", f"pack={pack}", f"results_dir={tmp_path / str(pack)}")
        felt = {"init_std": 0.5} if family in ("led", "fsmt") else {}  # or else a query changes no loss
        job.model.config = {"model_type": family} | SHAPES[family] | felt
        if family == "mamba":
            with pytest.raises(UserError, match="peft"):
                jobs.run(job)
            return
        records = jobs.run(job)
        cell = jobs.plan(job).cell
        kept[pack] = [
            (
                {key: one for key, one in record.items() if key not in ("run", "checksum")},
                store.read_predictions(cell, n),
            )
            for n, record in records.items()
        ]
        together = [record["run"]["pack"] for record in records.values()]
        assert together == ([1, 1, 1] if pack == 1 or family in ALONE else [3, 3, 3])
    assert kept[1] == kept[3]
    assert capsys.readouterr().err.count("splits run one by one: ") == (family in ALONE)


@pytest.mark.parametrize("family", ("gemma3", "t5gemma2"))
def test_a_split_that_fails_fails_alone_beside_parts_that_no_text_reaches(family, choice):
    settings = Train(epochs=1, lr=0.01, batch_size=2, warmup_steps=0)
    train = [examples(1, 4), examples(2, 4)]

    def after(poisoned: bool):
        backbone = loaded(family)
        with packed_part(backbone, choice(family), (7004, 3639), total_steps=2) as part:
            if poisoned:
                with torch.no_grad():
                    part.parameters[0][0] = torch.nan
            ended = training.fit(part, backbone, OBJECTIVE, train, settings, (7004, 3639))
            return ended, [parameter[1].detach().clone() for parameter in part.parameters]

    (failed, well), beside = after(True)
    (_, expected), alone = after(False)
    assert isinstance(failed, SplitFailed) and well == pytest.approx(expected)
    assert all(torch.allclose(one, other, atol=1e-6) for one, other in zip(beside, alone, strict=True))
