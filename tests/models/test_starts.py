"""A decoder starts in training as it does in generation, and as its checkpoint was made to start."""

import pytest
import torch
from families import SHAPES

from caref import training
from caref.config.schema import Model, Train
from caref.data.batches import Encoded, collate
from caref.errors import UserError
from caref.evaluation.generate import generate
from caref.models import backbones, shapes
from caref.models.packed import packed_part
from caref.objectives import objective

BART = SHAPES["mbart"] | {"model_type": "bart", "decoder_start_token_id": 0, "bos_token_id": None, "dropout": 0.0}
CROSS_ENTROPY = objective.build({"term": "cross_entropy"})
TOLD = (b"left or right",) * 4
EXAMPLES = [
    Encoded((*(byte + 3 for byte in b"question %d" % place), 1), (*(byte + 3 for byte in text), 1), 2)
    for place, text in enumerate(TOLD)
]


def loaded(**shape) -> backbones.Backbone:
    return backbones.load(Model(name="x", tokenizer="byte", config=shape))


def learnt(backbone: backbones.Backbone, composed) -> list[str]:
    """What is written after a training that leaves nothing to learn."""
    settings = Train(epochs=60, lr=0.01, batch_size=4, warmup_steps=5)
    with packed_part(backbone, composed("model=tiny_t5", "peft=base").peft, [7004], total_steps=60) as part:
        training.fit(part, backbone, CROSS_ENTROPY, [EXAMPLES], settings, [7004])
        return generate(part.model, backbone, EXAMPLES, 2, 30)


@pytest.mark.parametrize(
    ("keys", "start"),
    (
        ({}, (0,)),
        ({"forced_bos_token_id": 300}, (0, 300)),
        ({"forced_bos_token_id": 300, "forced_eos_token_id": 1}, (0, 300)),
        ({"decoder_start_token_id": 1, "forced_bos_token_id": 2}, (1, 2)),
        ({"decoder_start_token_id": None, "bos_token_id": 2}, (2,)),
    ),
)
def test_what_was_learnt_is_written_whatever_the_checkpoint_forces(keys, start, composed):
    backbone = loaded(**BART | keys)
    assert backbone.start == start
    batch = collate(EXAMPLES, backbone)
    assert batch.inputs["decoder_input_ids"][:, : len(start)].tolist() == [list(start)] * len(EXAMPLES)
    forced = len(start) - 1
    assert (batch.labels[:, :forced] == -100).all()
    assert batch.labels[0, forced:].tolist()[: len(EXAMPLES[0].target)] == list(EXAMPLES[0].target)
    assert (batch.answer_labels != -100).sum(1).tolist() == [2] * len(EXAMPLES)
    assert learnt(backbone, composed) == [text.decode() for text in TOLD]


def test_what_a_saved_checkpoints_generation_forces_is_read_in_training(composed, tmp_path):
    saved = shapes.with_random_weights(shapes.spelt_out(BART))
    saved.generation_config.forced_bos_token_id = 300
    saved.save_pretrained(tmp_path)
    backbone = backbones.load(Model(name="x", path=str(tmp_path), tokenizer="byte"))
    assert learnt(backbone, composed) == [text.decode() for text in TOLD]
    assert backbone.start == (0, 300)


def test_it_is_what_transformers_writes_by_the_checkpoints_own_settings():
    shape = BART | {"forced_bos_token_id": 300, "d_model": 64}
    pristine = shapes.with_random_weights(shapes.spelt_out(shape)).eval()
    pristine.generation_config.forced_bos_token_id = 300
    ids = torch.tensor([EXAMPLES[0].prompt])
    expected = pristine.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=9)[0]
    assert expected[:2].tolist() == [0, 300]
    backbone = loaded(**shape)
    texts = generate(backbone.model, backbone, EXAMPLES[:1], 1, 8)
    shown = [token for token in expected[2:].tolist() if token < len(backbone.tokenizer)]
    assert texts == [backbone.tokenizer.decode(shown, skip_special_tokens=True).strip()]


def test_prompt_tokens_of_a_decoder_are_read_in_training_too():
    assert loaded(**BART | {"forced_decoder_ids": [[1, 7], [2, 9], [4, 5]]}).start == (0, 7, 9)


@pytest.mark.parametrize("family", ("mbart", "t5gemma", "t5gemma2"))
def test_a_model_without_a_start_token_takes_the_beginning_of_a_sequence(family):
    assert loaded(model_type=family, **SHAPES[family]).start == (2,)


def test_a_model_that_says_nothing_of_its_start_is_refused_in_one_line():
    with pytest.raises(UserError, match=r"model\.config\.decoder_start_token_id=None: neither mbart nor its tokenizer"):
        loaded(**SHAPES["mbart"] | {"model_type": "mbart", "bos_token_id": None})
    with pytest.raises(UserError, match=r"mbart refuses it.*decoder_start_token_id"):
        loaded(**SHAPES["mbart"] | {"model_type": "mbart", "decoder_start_token_id": [2, 3]})


@pytest.mark.parametrize(("family", "told"), (("t5gemma", True), ("fsmt", True), ("led", False), ("mt5", False)))
def test_a_start_that_is_padding_too_is_seen_by_the_decoder(family, told):
    start = {"decoder_start_token_id": 0} if family != "t5gemma" else {}
    shape = {"model_type": family} | SHAPES[family] | start
    if family == "t5gemma":
        gemma = shape["decoder"] | {"bos_token_id": 0}
        shape |= {"bos_token_id": 0, "encoder": gemma, "decoder": gemma}
    backbone = loaded(**shape)
    assert backbone.start == (0,) and backbone.decoder_mask == told
    batch = collate(EXAMPLES, backbone)
    assert ("decoder_attention_mask" in batch.inputs) == told
    model = backbone.model
    with torch.no_grad():
        together = model(**batch.inputs, use_cache=False).logits
        for place, example in enumerate(EXAMPLES):  # alone nothing is padded: what is attended to is all there is
            alone = collate([example], backbone)
            read = alone.inputs["decoder_input_ids"]
            seen = {**alone.inputs, "decoder_attention_mask": torch.ones_like(read)}
            expected = model(**seen, use_cache=False).logits[0]
            torch.testing.assert_close(together[place, : len(expected)], expected, rtol=1e-4, atol=1e-4)
    texts = generate(model, backbone, EXAMPLES, 4, 6)
    assert texts == [generate(model, backbone, [example], 1, 6)[0] for example in EXAMPLES]
