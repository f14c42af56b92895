"""Splits side by side compute what each computes alone: losses, weights and what they write."""

import random

import pytest
import torch
from torch.nn.utils import clip_grad_norm_
from transformers import get_linear_schedule_with_warmup

from caref import training
from caref.config.schema import Train
from caref.data.batches import Encoded, collate, shuffled
from caref.errors import SplitFailed
from caref.evaluation.generate import generate, side_by_side
from caref.models.packed import packed_part, why_alone
from caref.models.trained import load_trained, trained_part
from caref.objectives import objective

SEEDS = (7004, 3639, 6290, 9428, 7056, 4864, 4273, 7632)
PACKED = ("aq", "laq", "aqkv", "lora_r4", "lora_r128", "ia3")
CASES = [(model, choice) for model in ("tiny_t5", "tiny_llama", "tiny_bart") for choice in PACKED]
ALL, CHECKED = range(len(SEEDS)), (0, 3, 7)
# Warm-up, decay, clipping that bites, a last batch smaller than the others.
SETTINGS = Train(epochs=2, lr=0.01, batch_size=2, warmup_steps=2, max_grad_norm=0.5)
OBJECTIVE = objective.build({"term": "sced", "alpha": 2.0, "beta": 1.0, "lambda_sced": 0.1, "lambda_kl": 0.1})


def examples(seed: int, count: int) -> list[Encoded]:
    """Random tokens, each example of its own length."""
    draw = random.Random(seed)

    def tokens(least: int, most: int) -> tuple[int, ...]:
        return (*(draw.randrange(3, 259) for _ in range(draw.randint(least, most))), 1)

    return [Encoded(tokens(4, 24), tokens(3, 12), answer_length=2) for _ in range(count)]


TRAIN = [examples(seed, 5) for seed in SEEDS]
EVALUATION = [examples(-seed, 3) for seed in SEEDS]


def dropping(backbone, rate: float):
    """The backbone with this rate in the place of its own."""
    for module in backbone.model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = rate
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, rate)
    return backbone


def side_by_side_run(backbone, peft, places=ALL, settings=SETTINGS, poison=None):
    """Terms by step and split, weights (K, ...) and texts of these splits in one model."""
    history: list = []
    seeds = [SEEDS[place] for place in places]
    with packed_part(backbone, peft, seeds, total_steps=6) as part:
        if poison is not None:
            with torch.no_grad():
                part.parameters[0][poison] = torch.nan
        outcome = training.fit(
            part, backbone, OBJECTIVE, [TRAIN[place] for place in places], settings, seeds, history.append
        )
        texts = side_by_side(part.model, backbone, [EVALUATION[place] for place in places], 2, 6)
        weights = [parameter.detach().clone() for parameter in part.parameters]
    return history, weights, texts, outcome


def plain_run(backbone, peft, place: int):
    """Losses by step, weights and texts of one split by a loop that knows of no packs and no dropout."""
    losses = []
    with trained_part(backbone, peft, SEEDS[place], total_steps=6) as part:
        optimizer = torch.optim.AdamW(part.parameters, lr=SETTINGS.lr, weight_decay=SETTINGS.weight_decay)
        schedule = get_linear_schedule_with_warmup(optimizer, 2, 6)
        part.model.train()
        for drawn in shuffled(TRAIN[place], SETTINGS.batch_size, SETTINGS.epochs, SEEDS[place]):
            batch = collate(drawn, backbone)
            loss = OBJECTIVE(part.model(**batch.inputs, use_cache=False), batch.labels).loss
            loss.backward()
            clip_grad_norm_(part.parameters, SETTINGS.max_grad_norm)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            losses.append(loss.item())
        texts = generate(part.model, backbone, EVALUATION[place], 2, 6)
        return losses, [parameter.detach().clone() for parameter in part.parameters], texts


@pytest.mark.parametrize(("model", "choice"), CASES)
def test_eight_splits_are_trained_as_a_plain_loop_trains_each_to_1e_9(model, choice, backbone, peft):
    backbone = dropping(backbone(model, torch.float64), 0.0)
    history, weights, texts, _ = side_by_side_run(backbone, peft(choice))
    for place in CHECKED:
        losses, own, alone = plain_run(backbone, peft(choice), place)
        assert [step[place]["loss"] for step in history] == pytest.approx(losses, abs=1e-9, rel=0)
        for stacked, one in zip(weights, own, strict=True):
            torch.testing.assert_close(stacked[place], one, rtol=0, atol=1e-9)
        assert texts[place] == alone


def test_what_a_training_came_to_is_the_mean_over_its_last_epoch(backbone, peft):
    history, _, _, outcome = side_by_side_run(backbone("tiny_llama"), peft("aq"), (0, 1))
    last = history[-3:]  # 5 examples, 2 a step
    for place, terms in enumerate(outcome):
        assert terms == pytest.approx({name: sum(step[place][name] for step in last) / 3 for name in history[0][place]})
    assert outcome[0]["loss"] != pytest.approx(sum(step[0]["loss"] for step in history) / 6, rel=1e-5)


@pytest.mark.parametrize("rate", (0.0, 0.1))
@pytest.mark.parametrize(("model", "choice"), CASES)
def test_in_float32_eight_splits_write_what_each_writes_alone_with_and_without_dropout(
    model, choice, rate, backbone, peft
):
    backbone = dropping(backbone(model), rate)
    history, _, texts, _ = side_by_side_run(backbone, peft(choice))
    for place in CHECKED:
        steps, _, (alone,), _ = side_by_side_run(backbone, peft(choice), [place])
        assert texts[place] == alone
        for packed, (one,) in zip(history, steps, strict=True):
            assert packed[place] == pytest.approx(one, rel=1e-4)


@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama", "tiny_bart"))
def test_with_dropout_a_split_draws_its_own_masks_to_1e_9(model, backbone, peft):
    backbone = dropping(backbone(model, torch.float64), 0.1)
    history, weights, _, _ = side_by_side_run(backbone, peft("aq"))
    without = side_by_side_run(dropping(backbone, 0.0), peft("aq"))[0]
    dropping(backbone, 0.1)
    for place in CHECKED:
        steps, own, _, _ = side_by_side_run(backbone, peft("aq"), [place])
        for packed, (one,), undropped in zip(history, steps, without, strict=True):
            assert packed[place]["loss"] == pytest.approx(one["loss"], abs=1e-9, rel=0)
            assert packed[place]["loss"] != pytest.approx(undropped[place]["loss"], rel=1e-6)
        for stacked, one in zip(weights, own, strict=True):
            torch.testing.assert_close(stacked[place], one, rtol=0, atol=1e-9)


@pytest.mark.parametrize("choice", ("aq", "laq", "lora_r4", "ia3"))
def test_a_loss_that_is_not_finite_fails_its_split_and_leaves_the_others_as_they_were(choice, backbone, peft):
    backbone = dropping(backbone("tiny_t5", torch.float64), 0.0)
    one_step = Train(epochs=1, lr=0.01, batch_size=2, max_grad_norm=0.5)
    whole = side_by_side_run(backbone, peft(choice), range(4), one_step)
    _, weights, texts, outcome = side_by_side_run(backbone, peft(choice), range(4), one_step, poison=1)
    assert isinstance(outcome[1], SplitFailed)
    assert "step 1 of 3: loss" in str(outcome[1]) and "ce" in str(outcome[1])
    for place in (0, 2, 3):
        assert outcome[place] == pytest.approx(whole[3][place], abs=1e-12)
        assert texts[place] == whole[2][place]
        for poisoned, well in zip(weights, whole[1], strict=True):
            torch.testing.assert_close(poisoned[place], well[place], rtol=0, atol=1e-12)


@pytest.mark.parametrize("choice", ("aq", "laq", "lora_r4", "ia3"))
def test_each_split_of_a_pack_is_saved_as_if_alone(choice, backbone, peft, tmp_path):
    backbone = dropping(backbone("tiny_t5"), 0.0)
    with packed_part(backbone, peft(choice), SEEDS[:3], total_steps=6) as part:
        training.fit(part, backbone, OBJECTIVE, TRAIN[:3], SETTINGS, SEEDS[:3])
        for place in range(3):
            part.save(tmp_path / str(place), place)
        together = side_by_side(part.model, backbone, EVALUATION[:3], 2, 6)
    for place in range(3):
        with load_trained(backbone, tmp_path / str(place)) as model:
            assert generate(model, backbone, EVALUATION[place], 2, 6) == together[place]
        with trained_part(backbone, peft(choice), SEEDS[place], total_steps=6) as part:
            part.save(tmp_path / "alone")
        names = {file.name for file in (tmp_path / "alone").iterdir()}
        assert {file.name for file in (tmp_path / str(place)).iterdir()} == names


@pytest.mark.parametrize("choice", PACKED)
@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama", "tiny_bart"))
def test_after_a_pack_the_backbone_is_as_before(model, choice, backbone, peft):
    backbone = backbone(model)
    tensors = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    modules = {name: id(module) for name, module in backbone.model.named_modules()}
    with packed_part(backbone, peft(choice), SEEDS[:2], total_steps=6) as part:
        training.fit(part, backbone, OBJECTIVE, TRAIN[:2], SETTINGS, SEEDS[:2])
    now = backbone.model.state_dict()
    assert now.keys() == tensors.keys() and all(torch.equal(now[name], tensors[name]) for name in tensors)
    assert {name: id(module) for name, module in backbone.model.named_modules()} == modules
    assert all(parameter.requires_grad for parameter in backbone.model.parameters())


@pytest.mark.parametrize("choice", PACKED)
def test_a_pack_counts_what_one_split_trains(choice, backbone, peft):
    backbone = backbone("tiny_t5")
    with trained_part(backbone, peft(choice), SEEDS[0], 6) as part:
        alone = part.counts
    with packed_part(backbone, peft(choice), SEEDS, 6) as part:
        assert part.counts == alone
        assert sum(parameter.numel() for parameter in part.parameters) == len(SEEDS) * alone.trainable


def test_what_cannot_be_packed_says_why(backbone, peft):
    backbone = backbone("tiny_t5")
    assert all(why_alone(backbone, peft(choice)) is None for choice in PACKED)
    for choice in ("base", "dec", "adalora", "dora", "prefix"):
        assert why_alone(backbone, peft(choice))
    backbone.model.config.layerdrop = 0.1
    assert "layers at random" in why_alone(backbone, peft("aq"))


def test_splits_of_unequal_size_have_no_common_schedule(backbone, peft):
    backbone = backbone("tiny_t5")
    with packed_part(backbone, peft("aq"), SEEDS[:2], 6) as part, pytest.raises(ValueError):
        training.fit(part, backbone, OBJECTIVE, [TRAIN[0], TRAIN[1][:3]], SETTINGS, SEEDS[:2])
