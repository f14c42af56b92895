"""What is longer than a model's positions is refused in one line, with the example and the key, before training."""

import re

import pytest
import torch
from families import SHAPES

from caref.config.schema import Model
from caref.data.batches import Encoded
from caref.data.demo import generate
from caref.data.prompts import text
from caref.errors import UserError
from caref.models import backbones
from caref.results import evidence, store
from caref.running import jobs, lengths

SMALL = ("source=demo", "bertscore=minilm", "dataset=comve", "dataset.eval_size=4", "dataset.train_size=6", "splits=0")


def loaded(family: str, **changed) -> backbones.Backbone:
    shape = {"model_type": family} | SHAPES.get(family, {}) | changed
    return backbones.load(Model(name=family, tokenizer="byte", config=shape))


GPT2 = {"vocab_size": 384, "n_positions": 40, "n_embd": 32, "n_layer": 1, "n_head": 4} | {"pad_token_id": 0}
GPT2 |= {"eos_token_id": 1, "bos_token_id": None}
DEEPSEEK = {"model_type": "deepseek_v3", "hidden_size": 32, "intermediate_size": 64, "moe_intermediate_size": 32}
DEEPSEEK |= {"num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 4, "first_k_dense_replace": 1}
DEEPSEEK |= {"kv_lora_rank": 8, "q_lora_rank": 8, "qk_rope_head_dim": 4, "qk_nope_head_dim": 8, "v_head_dim": 8}
DEEPSEEK |= {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "vocab_size": 384}
DEEPSEEK |= {"pad_token_id": 0, "eos_token_id": 1, "bos_token_id": None}
TABLES = {
    "opt": {"max_position_embeddings": 40},
    "mbart": {"max_position_embeddings": 40},
    "gpt2": GPT2,
}


def example(prompt: int, target: int) -> Encoded:
    return Encoded((7,) * prompt, (7,) * target, 1)


def test_rows_of_a_table_before_its_first_position_are_none():
    """RoBERTa's positions begin after its padding's."""
    config = {"model_type": "roberta", "vocab_size": 384, "hidden_size": 32, "num_hidden_layers": 1, "pad_token_id": 1}
    config |= {"num_attention_heads": 4, "intermediate_size": 64, "max_position_embeddings": 40}
    model = Model(name="roberta", tokenizer="byte", kind="classifier", config=config)
    backbone = backbones.load(model, classes=2)
    (limit,) = lengths.limits(backbone).values()
    backbone.model(input_ids=torch.full((1, limit), 7))
    with pytest.raises((IndexError, RuntimeError), match="out of"):
        backbone.model(input_ids=torch.full((1, limit + 1), 7))


@pytest.mark.parametrize("family", TABLES)
def test_just_what_the_model_itself_can_read_is_let_through(family):
    backbone = loaded(family, **TABLES[family])
    own = 0 if backbone.encoder_decoder else 20
    lengths.check(backbone, [example(20, 41 - own - len(backbone.start))], [example(20, 1)], 10, 0)
    with pytest.raises(UserError, match=r"dataset\.name: the text of the example that begins .* 41 tokens, but .* 40"):
        lengths.check(backbone, [example(20, 42 - own - len(backbone.start))], [example(20, 1)], 10, 0)
    lengths.check(backbone, [example(20, 2)], [example(20, 2)], 41 - own - len(backbone.start), 0)
    with pytest.raises(UserError, match=r"evaluation\.max_new_tokens=\d+: the generation .* 41 tokens, but .* 40"):
        lengths.check(backbone, [example(20, 2)], [example(20, 2)], 42 - own - len(backbone.start), 0)
    with pytest.raises(UserError, match=r"of which the prefix takes 20 \(peft\.tokens\)"):
        lengths.check(backbone, [example(20, 22)], [example(20, 2)], 2, 20)
    key = "decoder_input_ids" if backbone.encoder_decoder else "input_ids"
    inputs = {"input_ids": torch.full((1, 40), 7), key: torch.full((1, 40), 7)}
    backbone.model(**inputs)
    with pytest.raises((IndexError, RuntimeError)):
        backbone.model(**{**inputs, key: torch.full((1, 41), 7)})


def test_an_encoders_positions_are_its_own():
    with pytest.raises(UserError, match=r"the source .* takes 41 tokens, but mbart has 40 positions in its encoder"):
        lengths.check(loaded("mbart", max_position_embeddings=40), [example(41, 2)], [example(2, 2)], 4, 0)


@pytest.mark.parametrize("family", ("mt5", "mixtral", "fsmt", "gemma3"))
def test_a_model_that_counts_no_positions_reads_any_length(family):
    lengths.check(loaded(family), [example(5000, 600)], [example(5000, 2)], 4000, 0)


def test_a_job_is_refused_before_it_trains(composed, tmp_path):
    job = composed(*SMALL, "model=tiny_gpt2", "peft=lora_r4", "model.config.n_positions=60", f"results_dir={tmp_path}")
    with pytest.raises(UserError, match=r"takes \d+ tokens, but gpt2 has 60 positions"):
        jobs.run(job)
    assert not list(tmp_path.glob("*/splits/*"))


@pytest.mark.parametrize(
    ("model", "key", "asked", "refused"),
    [
        ("tiny_bart", "max_position_embeddings", "attributions=[prompting]", "what prompting asks"),
        ("tiny_bart", "max_position_embeddings", "attributions=[prompting_top_untrained]", "what prompting_top_untrai"),
        ("tiny_gpt2", "n_positions", "attributions=[prompting_top]", "what prompting_top asks, and evaluation.max_new"),
        ("tiny_bart", "max_position_embeddings", "measures=[mention]", "what mention asks"),
    ],
)
def test_what_evidence_asks_beside_the_text_is_counted(model, key, asked, refused, composed, tmp_path):
    """With as many positions as a refusal says are needed the job is refused for something longer, or runs."""
    line = (*SMALL, "dataset=esnli", f"model={model}", "peft=base", "train.epochs=1", f"results_dir={tmp_path}")
    line += ("evaluation.max_new_tokens=8", "dataset.train_size=3", "dataset.eval_size=20", "splits=1", "evidence=full")
    line += ("evidence.attributions=[random]", "evidence.measures=[erasure]", f"evidence.{asked}")
    line += ("dataset.target=answer",) * ("prompting" in asked)
    told, positions = [], 60
    while positions:
        try:
            jobs.run(composed(*line, f"model.config.{key}={positions}"))
            break
        except UserError as error:
            told.append(str(error))
            assert not list(tmp_path.glob("*/splits/*"))
            positions = int(re.search(r"takes (\d+) tokens", told[-1])[1])
    assert told[-1].startswith(f"evidence.{asked.partition('=')[0]}: {refused}")
    assert "; ask for less, or dataset.max_tokens shortens inputs" in told[-1]
    assert len(list(tmp_path.glob("*/evidence/*/001.json"))) == 1


def test_texts_that_are_too_long_lose_their_end_where_that_is_asked_and_it_is_told(composed, tmp_path, capfd):
    line = ("source=demo", "dataset=esnli", "dataset.target=answer", "dataset.sampling=balanced", "splits=0:2")
    line += (
        "dataset.eval_size=12",
        "dataset.train_size=6",
        "train.epochs=1",
        "evaluation.max_new_tokens=4",
        "peft=base",
    )
    line += ("model=tiny_gpt2", "model.config.n_positions=150", "evidence=full", "evidence.measures=[alignment]")
    line += ("evidence.attributions=[human,random]", f"results_dir={tmp_path}")
    with pytest.raises(UserError, match="gpt2 has 150 positions"):
        jobs.run(composed(*line))
    with pytest.raises(UserError, match=r"dataset.max_tokens=130: FEB's samples are whole texts"):
        jobs.run(composed(*line, "dataset.max_tokens=130", "dataset.sampling=feb"))
    job = composed(*line, "dataset.max_tokens=130")
    records = jobs.run(job)
    planned = jobs.plan(job)
    whole = {one.id: text("esnli", one).source for one in generate("esnli", "validation")}
    short = whole_ids = 0
    for index, record in records.items():
        drawn = planned.sampler(index)
        own = {one["id"]: one["source"] for one in store.read_predictions(planned.cell, index)}
        lost = [name for name, source in own.items() if source != whole[name]]
        assert all(len(source.encode()) + 1 <= 130 for source in own.values())  # the newline after it
        assert all(len(whole[name].encode()) + 1 > 130 for name in lost)
        assert record["counts"]["evaluated_shortened"] == len(lost)
        assert record["counts"]["train_shortened"] == sum(
            len(text("esnli", one).source.encode()) + 1 > 130 for one in drawn.train
        )
        short, whole_ids = short + len(lost), whole_ids + len(own)
    assert 0 < short < whole_ids
    assert re.search(r"dataset.max_tokens=130: \d+ of \d+ examples lose the end", capfd.readouterr().err)
    (found,) = evidence.of_cell(planned.cell)
    marked = {
        row["id"]: [row["words"][place] for place in row["marked"]]
        for row in evidence.read_rows(planned.cell / "evidence" / found.mark, 0)
    }
    texts = {one["id"]: one["source"] for one in store.read_predictions(planned.cell, 0)}
    assert any(marked.values()) and all(word in texts[name] for name, words in marked.items() for word in words)


@pytest.mark.parametrize(
    ("family", "fits"),
    (("falcon", False), ("jamba", False), ("prophetnet", False), ("deepseek_v3", False), ("mt5", True)),
)
def test_a_prefix_that_a_model_cannot_be_given_is_refused_before_the_run(family, fits, composed):
    from caref.models.trained import trained_part

    backbone = loaded(family, **(DEEPSEEK if family == "deepseek_v3" else {}))
    peft = composed("model=tiny_t5", "peft=prefix").peft
    try:
        with trained_part(backbone, peft, 7004, 10) as part:
            lengths.check_prefix(part, backbone, "peft (prefix tuning)")
    except UserError as refused:
        assert not fits and str(refused).startswith("peft (prefix tuning): ")
    else:
        assert fits
