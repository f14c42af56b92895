"""The probability of every choice: what reading one choice at a time gives, whatever the batch, company or pack."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from caref.data.batches import encode, for_backbone
from caref.data.prompts import text
from caref.evidence.choices import DEFINITIONS, Asked, by_token, log_probabilities, side_by_side
from caref.evidence.measures import calibration, coupling
from caref.evidence.reading import Reading, askable, question
from caref.models.continuations import told_by
from caref.models.packed import packed_part

SEEDS = (7004, 3639, 6290)
EXACT = torch.float64
MODELS = ("tiny_t5", "tiny_bart", "tiny_llama", "tiny_gpt2")
MAMBA = (
    "model.config.model_type=mamba",
    "~model.config.num_attention_heads",
    "~model.config.num_key_value_heads",
    "~model.config.max_position_embeddings",
)


def questions(backbone, examples, dataset="ecqa"):
    found = []
    for example in examples:
        prompt = encode(text(dataset, example), backbone.tokenizer, backbone.encoder_decoder).prompt
        choices = tuple(told_by(choice, backbone.tokenizer) for choice in example.choices)
        found.append(Asked(prompt, choices))
    return found


@torch.no_grad()
def one_at_a_time(model, backbone, asked: Asked) -> list[float]:
    """Every continuation by a forward pass of its own, without padding, in float64 sums."""
    found = []
    for continuation in asked.continuations:
        target = torch.tensor([continuation])
        if backbone.encoder_decoder:
            (start,) = backbone.start
            read = torch.tensor([[start, *continuation[:-1]]])
            logits = model(input_ids=torch.tensor([asked.prompt]), decoder_input_ids=read).logits
        else:
            whole = torch.tensor([[*asked.prompt, *continuation]])
            logits = model(input_ids=whole).logits[:, len(asked.prompt) - 1 : -1]
        found.append(logits.double().log_softmax(-1).gather(-1, target.unsqueeze(-1)).sum().item())
    return found


def shaken(backbone):
    """Weights far from their initial ones, so that continuations differ clearly."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in backbone.model.parameters():
            parameter.add_(0.2 * torch.randn(parameter.shape, generator=generator))
    return backbone


@pytest.mark.parametrize("model", [*MODELS, "mamba"])
@pytest.mark.parametrize("dataset", ("ecqa", "esnli"))
def test_they_are_those_of_one_choice_at_a_time(model, dataset, backbone, examples):
    backbone = shaken(backbone("tiny_llama", *MAMBA, dtype=EXACT) if model == "mamba" else backbone(model, dtype=EXACT))
    asked = questions(backbone, examples(dataset), dataset)
    (found,) = log_probabilities(backbone.model, backbone, [asked], batch_size=4)
    for one, values in zip(asked, found, strict=True):
        # Mamba's logits are float32 whatever it computes in.
        within = {"rel": 1e-6} if model == "mamba" else {"abs": 1e-9}
        assert values == pytest.approx(one_at_a_time(backbone.model, backbone, one), **within)
        assert torch.tensor(values, dtype=torch.float64).softmax(0).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_in_float32_probabilities_are_right_to_1e_6(model, backbone, examples):
    exact, single = backbone(model, dtype=EXACT), backbone(model)
    asked = questions(exact, examples("esnli"), "esnli")
    ((*right,), (*found,)) = (log_probabilities(one.model, one, [asked], 4)[0] for one in (exact, single))
    for one, other in zip(right, found, strict=True):
        probabilities = (torch.tensor(values, dtype=EXACT).softmax(0) for values in (one, other))
        torch.testing.assert_close(*probabilities, rtol=0, atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_neither_batch_nor_company_nor_the_number_of_choices_shows(model, backbone, examples):
    backbone = shaken(backbone(model, dtype=EXACT))
    asked = questions(backbone, examples("ecqa"))
    shorter = [Asked(one.prompt, one.continuations[:2]) for one in asked]
    (together,) = log_probabilities(backbone.model, backbone, [asked], batch_size=6)
    (alone,) = log_probabilities(backbone.model, backbone, [asked[::-1]], batch_size=1)
    (mixed,) = log_probabilities(backbone.model, backbone, [asked[:3] + shorter[3:]], batch_size=4)
    for place, values in enumerate(together):
        assert alone[::-1][place] == pytest.approx(values, abs=1e-9)
        assert mixed[place] == pytest.approx(values if place < 3 else values[:2], abs=1e-9)


@pytest.mark.parametrize("peft_choice", ("aq", "lora_r4"))
@pytest.mark.parametrize("model", MODELS)
def test_packed_splits_give_what_each_gives_alone(model, peft_choice, backbone, peft, examples):
    if model == "tiny_gpt2" and peft_choice == "aq":
        pytest.skip("GPT-2 fuses q, k and v: AQ is refused there")
    backbone, peft = backbone(model, dtype=EXACT), peft(peft_choice)
    asked = questions(backbone, examples("ecqa", 7))
    splits = [asked[:5], asked[1:4], asked[2:]]  # they need not have equally many

    def moved(part, only=None):
        with torch.no_grad():
            for parameter in part.parameters:
                for place, seed in enumerate(SEEDS) if only is None else [(None, SEEDS[only])]:
                    noise = torch.randn(
                        parameter.shape[1:] if only is None else parameter.shape,
                        generator=torch.Generator().manual_seed(seed),
                    )
                    (parameter if place is None else parameter[place]).add_(0.3 * noise)

    with packed_part(backbone, peft, SEEDS, total_steps=1) as part:
        moved(part)
        packed = log_probabilities(part.model, backbone, splits, batch_size=3)
    for place, seed in enumerate(SEEDS):
        with packed_part(backbone, peft, [seed], total_steps=1) as part:
            moved(part, only=place)
            (alone,) = log_probabilities(part.model, backbone, [splits[place]], batch_size=2)
        for one, other in zip(packed[place], alone, strict=True):
            assert one == pytest.approx(other, abs=1e-9)
    assert packed[0][2] != pytest.approx(packed[1][1], abs=1e-3)  # of the same question: the splits do differ


def test_a_prefix_of_another_choice_is_told_from_it(backbone, examples):
    tokenizer = backbone("tiny_t5").tokenizer
    dog, house = told_by("dog", tokenizer), told_by("dog house", tokenizer)
    assert house[: len(dog)] != dog and dog[:4] == house[:4]
    smollm2 = backbone("smollm2_135m").tokenizer
    dog, house = told_by("dog", smollm2), told_by("dog house", smollm2)
    assert len(dog) == 2 and len(house) == 3 and dog[-1] == house[-1]  # the separator is one token to it


@torch.no_grad()
def held_to_the_choices(backbone, asked: Asked) -> list[float]:
    """p of each by decoding token after token, every token that begins no choice forbidden."""
    (start,) = backbone.start
    found = []
    for continuation in asked.continuations:
        p = 1.0
        for place, token in enumerate(continuation):
            before = continuation[:place]
            read = torch.tensor([[start, *before]])
            logits = backbone.model(input_ids=torch.tensor([asked.prompt]), decoder_input_ids=read).logits[0, -1]
            allowed = {c[place] for c in asked.continuations if c[:place] == before and len(c) > place}
            forbidden = torch.full_like(logits, -torch.inf)
            forbidden[list(allowed)] = 0
            p *= (logits + forbidden).softmax(-1)[token].item()
        found.append(p)
    return found


def told(definition, model, backbone, asked):
    (found,) = by_token(model, backbone, [asked], batch_size=4)
    return np.array([DEFINITIONS[definition](*one) for one in zip(asked, found, strict=True)])


def test_a_tree_is_decoding_that_is_held_to_the_choices(backbone):
    backbone = shaken(backbone("tiny_t5", dtype=EXACT))
    forked = ((9, 8, 7), (9, 8, 30, 7), (9, 40), (50, 8, 7), (50, 9, 7), (60,))
    asked = [Asked((20, 21, 22, 1), forked), Asked((31, 1), forked[:3])]
    found = [
        DEFINITIONS["tree"](*one) for one in zip(asked, *by_token(backbone.model, backbone, [asked], 2), strict=True)
    ]
    for one, values in zip(asked, found, strict=True):
        assert np.exp(values) == pytest.approx(held_to_the_choices(backbone, one), abs=1e-9)
        assert np.exp(values).sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("model", MODELS)
def test_flat_tokens_move_no_choice_of_a_tree_and_turn_sums_to_the_shortest(model, backbone, examples):
    """What a regulariser towards uniform does to a model that believes the same."""
    backbone = shaken(backbone(model, dtype=EXACT))
    asked = questions(backbone, examples("esnli"), "esnli")  # its three choices part at their first token
    believed = torch.zeros(backbone.model.get_output_embeddings().weight.shape[0], dtype=EXACT)
    believed[asked[0].continuations[2][0]] = 50  # contradiction
    head = backbone.model.get_output_embeddings()
    hooks = [head.register_forward_hook(lambda module, inputs, logits: logits + believed)]
    before = {name: told(name, backbone.model, backbone, asked) for name in DEFINITIONS}
    flat = 100.0
    hooks.append(head.register_forward_hook(lambda module, inputs, logits: logits / flat))
    after = {name: told(name, backbone.model, backbone, asked) for name in DEFINITIONS}
    reading = Reading(
        *(backbone.model, backbone),
        [
            [
                question("esnli", one, backbone, answer=one.choices[choice])
                for one, choice in zip(examples("esnli"), before["tree"].argmax(-1), strict=True)
            ]
        ],
        choices="tree",
    )
    (scores,) = calibration.measure(reading)
    for hook in hooks:
        hook.remove()
    expected = before["tree"] / flat - np.logaddexp.reduce(before["tree"] / flat, axis=-1, keepdims=True)
    assert after["tree"] == pytest.approx(expected, abs=1e-9)
    assert (before["tree"].argmax(-1) == 2).all() and (after["sequence"].argmax(-1) == 1).all()  # 1: neutral
    assert scores["disagreement"] == 0 and scores["disagreement_summed"] == 100


def test_splits_of_unequal_length_are_filled_up_and_every_place_is_seen():
    splits = [[5, 1, 9, 7], [3], [2, 8]]
    seen = {split: set() for split in range(3)}
    for rows in side_by_side(splits, 3, length=lambda number: number):
        counts = [sum(split == one for split, _ in rows) for one in range(3)]
        assert len(set(counts)) == 1 and [split for split, _ in rows] == sorted(split for split, _ in rows)
        for split, place in rows:
            seen[split].add(place)
    assert seen == {0: {0, 1, 2, 3}, 1: {0}, 2: {0, 1}}


@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama"))
def test_what_is_offered_twice_is_one_choice(model, backbone, examples):
    """Real ECQA and CoS-E have such questions; the prompt lists both, and the first stands for both."""
    backbone = shaken(backbone(model, dtype=EXACT))
    example = examples("ecqa", 1)[0]
    first, *_, last = range(len(example.choices))
    twice = replace(
        example, choices=(*example.choices[:last], f" {example.choices[first].upper()}"), label=last, explanations=()
    )
    asked = question("ecqa", twice, backbone, example.choices[first], "it is so")
    assert asked.example.choices == example.choices[:last] and asked.example.label == first
    (read,) = questions(backbone, [twice])
    assert asked.asked.prompt == read.prompt
    reading = Reading(backbone.model, backbone, [[asked]], choices="sequence")
    each = one_at_a_time(backbone.model, backbone, replace(read, continuations=read.continuations[:last]))
    assert reading.log_p()[0][0] == pytest.approx(each, abs=1e-9)
    (scores,), (told,) = coupling.measure(reading), calibration.measure(reading)
    assert scores["coupling"] != 0
    assert told["choice_accuracy"] == 100 * (int(np.argmax(each)) == first)
    encoded = for_backbone(twice, text("ecqa", twice), backbone)
    assert askable("ecqa", twice, encoded, backbone.tokenizer).choices == asked.asked.continuations
