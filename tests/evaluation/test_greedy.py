"""Rows that have ended leave the batch, and what is written is what transformers' own `generate` writes."""

import random

import pytest
import torch
from families import SHAPES
from transformers import GenerationConfig

from caref.config.schema import Model
from caref.data.batches import attended
from caref.evaluation.greedy import rows_leave
from caref.models import backbones
from caref.models.packed import packed_part

DRAW = random.Random(1)
PROMPTS = [[DRAW.randrange(3, 259) for _ in range(DRAW.randint(3, 20))] for _ in range(12)]


def written(model, backbone, width: int = 24, **how) -> tuple[torch.Tensor, list[int]]:
    """Tokens (B, T) and the rows that the head was given, step by step."""
    left = not backbone.encoder_decoder
    given: list[int] = []
    hook = model.get_output_embeddings().register_forward_pre_hook(lambda _, args: given.append(len(args[0])))
    greedy = GenerationConfig(
        do_sample=False,
        max_new_tokens=width,
        pad_token_id=0,
        eos_token_id=how.pop("ends", [1]),
        decoder_start_token_id=backbone.start[0] if backbone.start else None,
    )
    with torch.inference_mode(), backbone.autocast():
        tokens = model.generate(**attended(PROMPTS, 0, left), generation_config=greedy, **how)
    hook.remove()
    return tokens, given


def both(model, backbone, splits: int = 1, **how):
    """Ends are drawn so that rows end one after the other."""
    model.eval()
    free, _ = written(model, backbone, ends=[383], **how)
    ends = sorted({int(row[-8]) for row in free} | {int(row[-16]) for row in free[::2]})
    theirs, all_rows = written(model, backbone, ends=ends, **how)
    ours, rows = written(model, backbone, ends=ends, custom_generate=rows_leave(splits), **how)
    assert torch.equal(ours, theirs)
    return all_rows, rows


def loaded(family: str) -> backbones.Backbone:
    return backbones.load(Model(name=family, tokenizer="byte", config={"model_type": family} | SHAPES[family]))


@pytest.mark.parametrize("family", SHAPES)
def test_every_family_writes_what_generate_writes(family):
    backbone = loaded(family)
    all_rows, rows = both(backbone.model, backbone)
    assert len(rows) <= len(all_rows)
    assert max(rows) <= len(PROMPTS)


@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama", "tiny_gpt2"))
def test_rows_leave(model, composed):
    backbone = backbones.load(composed(f"model={model}").model)
    all_rows, rows = both(backbone.model, backbone)
    assert set(all_rows) == {len(PROMPTS)}
    assert rows == sorted(rows, reverse=True) and rows[-1] < len(PROMPTS) / 2


def test_a_processor_of_logits_is_heard_and_no_row_leaves(composed):
    backbone = backbones.load(composed("model=tiny_llama").model)
    _, rows = both(backbone.model, backbone, repetition_penalty=1.3)
    assert set(rows) == {len(PROMPTS)}


@pytest.mark.parametrize("choice", ("lora_r4", "prefix", "ia3"))
@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama"))
def test_adapters_write_what_generate_writes(model, choice, composed):
    job = composed(f"model={model}", f"peft={choice}")
    backbone = backbones.load(job.model)
    with packed_part(backbone, job.peft, [7004], total_steps=4) as part:
        both(part.model, backbone)


@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama"))
def test_of_splits_side_by_side_equally_many_rows_stay(model, composed):
    job = composed(f"model={model}", "peft=aq")
    backbone = backbones.load(job.model)
    with packed_part(backbone, job.peft, [7004, 3639, 6290], total_steps=4) as part:
        _, rows = both(part.model, backbone, splits=3)
    assert rows[-1] < len(PROMPTS) and all(count % 3 == 0 for count in rows)


def test_what_keeps_state_by_more_than_rows_keeps_its_rows(composed):
    backbone = loaded("jamba")
    _, rows = both(backbone.model, backbone)
    assert set(rows) == {len(PROMPTS)}
