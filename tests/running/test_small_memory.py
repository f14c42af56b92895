"""Where memory is short a batch goes through the model in parts, or layers are computed again: the numbers stay."""

import json
import random

import pytest
import torch
from families import SHAPES

from caref import training
from caref.config.schema import Model, Train
from caref.data.batches import Encoded
from caref.errors import UserError
from caref.kernels.dropout import own_masks
from caref.models import backbones
from caref.models.packed import packed_part
from caref.objectives import objective
from caref.running import company, jobs, memory

SCED = {"term": "sced", "alpha": 2.0, "beta": 1.0, "lambda_sced": 0.1, "lambda_kl": 0.1}
OBJECTIVES = {"sced": objective.build(SCED), "entmax": objective.build({"term": "entmax", "alpha": 1.5})}
SEEDS = (7004, 3639, 6290)
WAYS = {
    "two parts": {"gradient_accumulation": 2},
    "parts of 2, 2 and 1": {"gradient_accumulation": 3},
    "a row at a time": {"gradient_accumulation": 5},
    "layers again": {"gradient_checkpointing": True},
    "both": {"gradient_accumulation": 2, "gradient_checkpointing": True},
}
SMALL = ("model=tiny_t5", "source=demo", "bertscore=minilm", "dataset=comve", "dataset.eval_size=4", "splits=0:2")
SMALL += ("dataset.train_size=6", "train.epochs=2", "train.lr=0.01", "train.batch_size=4", "train.precision=fp32")
SMALL += ("evaluation.max_new_tokens=8", "model.dropout=0.1")


def examples(seed: int, count: int) -> list[Encoded]:
    """Random tokens, each example and each answer of its own length."""
    draw = random.Random(seed)

    def tokens(least: int, most: int) -> tuple[int, ...]:
        return (*(draw.randrange(3, 259) for _ in range(draw.randint(least, most))), 1)

    return [Encoded(tokens(4, 24), tokens(5, 16), answer_length=draw.randint(1, 5)) for _ in range(count)]


BATCHES = [examples(seed, 5) for seed in SEEDS]


def loaded(family: str, composed, dtype: torch.dtype = torch.float64, dropout: float | None = 0.1):
    if family in SHAPES:
        shape = {"model_type": family} | SHAPES[family]
        return backbones.load(Model(family, tokenizer="byte", dropout=dropout, config=shape), dtype=dtype)
    rate = "null" if family == "tiny_llama" else dropout
    backbone = backbones.load(composed(f"model={family}", f"model.dropout={rate}").model, dtype=dtype)
    if family == "tiny_llama":
        for module in backbone.model.modules():
            if hasattr(module, "attention_dropout"):
                module.attention_dropout = 0.1
    return backbone


def stepped(backbone, peft, batches, settings: Train, by: str = "sced", steps: int = 2):
    """Terms and gradients of the last of some steps, which add up, of splits side by side."""
    seeds = SEEDS[: len(batches)]
    with packed_part(backbone, peft, seeds, total_steps=4) as part, own_masks(seeds, backbone.device) as masks:
        part.model.train()
        with training.recomputing(backbone, settings, masks):
            for _ in range(steps):
                rows = [example for own in batches for example in own]
                terms = training.backward(part, backbone, OBJECTIVES[by], rows, settings, masks, len(batches))
        gradients = [parameter.grad.clone() for parameter in part.parameters]
    return terms, gradients


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("splits", (1, 3))
@pytest.mark.parametrize(("model", "choice"), [("tiny_t5", "laq"), ("tiny_bart", "lora_r4"), ("tiny_llama", "aq")])
def test_gradients_and_terms_are_those_of_one_pass_to_1e_9(model, choice, splits, way, composed):
    backbone, peft = loaded(model, composed), composed(f"peft={choice}").peft
    for supervise, by in (("joint", "sced"), ("answer", "sced"), ("answer", "entmax")):
        once = stepped(backbone, peft, BATCHES[:splits], Train(supervise=supervise), by)
        found = stepped(backbone, peft, BATCHES[:splits], Train(supervise=supervise, **WAYS[way]), by)
        for name, value in once[0].items():
            torch.testing.assert_close(found[0][name], value, rtol=1e-9, atol=1e-9)
        for own, expected in zip(found[1], once[1], strict=True):
            torch.testing.assert_close(own, expected, rtol=0, atol=1e-9)
    assert any(gradient.abs().max() > 1e-3 for gradient in once[1])


def test_what_a_method_adds_to_the_loss_is_added_once_a_step(composed):
    backbone = loaded("tiny_t5", composed)
    peft = composed("peft=adalora", "peft.init_r=6", "peft.target_r=2").peft
    once = stepped(backbone, peft, BATCHES[:1], Train(), steps=1)
    parts = stepped(backbone, peft, BATCHES[:1], Train(gradient_accumulation=3), steps=1)
    torch.testing.assert_close(parts, once, rtol=1e-5, atol=1e-7)  # the orthogonality term is float32
    alone = once[0]["loss"] - once[0]["ce"] - 0.1 * once[0]["sced"] - 0.1 * once[0]["kl"]
    assert alone > 0.1  # so that twice of it would show


def test_the_mean_of_the_parts_means_would_be_another_number(composed):
    backbone, peft = loaded("tiny_t5", composed), composed("peft=aq").peft
    whole = stepped(backbone, peft, BATCHES[:1], Train(), steps=1)[0]["loss"]
    parts = [stepped(backbone, peft, [own], Train(), steps=1)[0]["loss"] for own in (BATCHES[0][:3], BATCHES[0][3:])]
    assert abs(whole - sum(parts) / 2) > 1e-6


def calls(backbone, settings: Train, peft) -> tuple[list[int], int]:
    """The rows that the model is called with, one number a call, and how often its first attention is computed."""
    rows, computed = [], []
    attention = next(module for path, module in backbone.model.named_modules() if path.endswith("SelfAttention"))
    hooks = [
        backbone.model.register_forward_pre_hook(
            lambda _, args, named: rows.append(len(named["input_ids"])), with_kwargs=True
        ),
        attention.register_forward_pre_hook(lambda *_: computed.append(1)),
    ]
    stepped(backbone, peft, BATCHES[:2], settings, steps=1)
    for hook in hooks:
        hook.remove()
    return rows, len(computed)


def test_parts_are_small_and_layers_are_computed_twice(composed):
    backbone, peft = loaded("tiny_t5", composed), composed("peft=aq").peft
    calls(backbone, Train(), peft)  # the first finds out what a text reaches
    assert calls(backbone, Train(), peft) == ([10], 1)
    assert calls(backbone, Train(gradient_accumulation=3), peft) == ([4, 4, 2], 3)
    assert calls(backbone, Train(gradient_checkpointing=True), peft) == ([10], 2)
    assert calls(backbone, Train(), peft) == ([10], 1)  # nothing stays


def kept(composed, folder, *overrides: str) -> dict[str, bytes]:
    job = composed(*SMALL, f"results_dir={folder}", *overrides)
    jobs.run(job)
    cell = jobs.plan(job).cell
    told = {path.name: path.read_bytes() for path in (cell / "predictions").iterdir()}
    for path in (cell / "splits").iterdir():
        record = json.loads(path.read_text())
        told[path.name] = json.dumps({key: record[key] for key in record if key not in ("run", "checksum")}).encode()
    return told | {"cell": cell.name.encode(), "config": (cell / "config.yaml").read_bytes()}


def test_records_cell_and_configuration_are_the_same_whichever_way(composed, tmp_path):
    once = kept(composed, tmp_path / "once")
    for number, way in enumerate(("two parts", "layers again", "both")):
        line = [f"train.{key}={str(value).lower()}" for key, value in WAYS[way].items()]
        assert kept(composed, tmp_path / str(number), *line, f"pack={1 + number}") == once, way


@pytest.mark.parametrize("family", [family for family in SHAPES if family != "mamba"])
def test_what_would_be_another_number_is_found(family, composed):
    wanted = "aq" if family not in ("falcon", "gpt_neox", "phi3", "prophetnet") else "lora_r4"
    has_dropout = family in ("led", "fsmt", "opt", "prophetnet", "mbart", "mt5", "umt5", "switch_transformers")
    backbone = loaded(family, composed, torch.float32, 0.1 if has_dropout else None)
    peft = composed("model=tiny_t5", f"peft={wanted}").peft

    def why(**settings):
        return company.why_not(backbone, peft, OBJECTIVES["sced"], examples(1, 6), 7004, Train(**settings))

    parts = why(gradient_accumulation=2)
    assert (parts is not None) == (family in ("led", "fsmt", "opt", "switch_transformers")), parts
    try:
        again = why(gradient_checkpointing=True)
    except UserError as refused:
        again = str(refused)
        assert "transformers cannot compute the layers of" in again
    assert again is None or family in ("fsmt", "prophetnet", "jamba", "led"), again


@pytest.mark.parametrize(
    ("line", "told"),
    (
        (["train.gradient_accumulation=5"], "train.gradient_accumulation=5: must be at most train.batch_size=4"),
        (["train.gradient_accumulation=0"], "train.gradient_accumulation=0: must be at least 1"),
        (["peft=prefix", "train.gradient_checkpointing=true"], "train.gradient_checkpointing=true: prefix tuning on"),
    ),
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line_before_any_training(line, told, composed, tmp_path):
    with pytest.raises(UserError) as refused:
        jobs.run(composed(*SMALL, f"results_dir={tmp_path}", *line))
    assert str(refused.value).startswith(told) and "\n" not in str(refused.value)
    assert not list(tmp_path.glob("*/splits/*"))


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:117] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_memory_that_is_short_is_known_in_all_words_of_it(error, short):
    assert memory.short(error) == short
