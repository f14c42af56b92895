"""All evidence of a pack at once: every measure, every attribution, alike whatever the pack, undisturbed."""

import json
from dataclasses import replace

import pytest
import torch

from caref.data.demo import generate as demo
from caref.data.examples import Example, Span
from caref.data.splits import Split
from caref.evaluation.parse import Parsed
from caref.evidence.probe import chosen, probe
from caref.models.packed import packed_part

ATTRIBUTIONS = ["attention", "saliency", "input_x_gradient", "explanation_words", "human", "random"]
MEASURES = [
    "calibration",
    "erasure",
    "alignment",
    "coupling",
    "agreement",
    "mention",
    "naopc",
    "consistency",
    "robustness",
    "skewness",
]
ASKED = {
    "examples": 5,
    "attributions": ATTRIBUTIONS,
    "measures": MEASURES,
    "removal": "delete",
    "choices": "tree",
    "student_lr": 5e-3,
    "student_steps": 100,
}


def split_of(index: int, seed: int) -> Split:
    examples = demo("esnli", "validation")
    return Split(index, seed, tuple(examples[:2]), tuple(examples[10 * index : 10 * index + 8]))


def written(split: Split) -> list[Parsed]:
    return [Parsed(example.answer, example.explanations[0], broken=False) for example in split.evaluation]


SPLITS = [split_of(0, 7004), split_of(1, 3639)]


def evidence_of(model, backbone, splits, asked=ASKED):
    return probe(
        model, backbone, "esnli", splits, [written(split) for split in splits], asked, batch_size=4, max_new_tokens=8
    )


@pytest.mark.parametrize("removal", ("delete", "mask"))
@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama"))
def test_a_packs_evidence_is_that_of_each_split_alone(model, removal, backbone, peft):
    backbone, peft = backbone(model), peft("aq")
    asked = ASKED | {"removal": removal}
    with packed_part(backbone, peft, [split.seed for split in SPLITS], total_steps=1) as part:
        together = evidence_of(part.model, backbone, SPLITS, asked)
    for split, found in zip(SPLITS, together, strict=True):
        with packed_part(backbone, peft, [split.seed], total_steps=1) as part:
            (alone,) = evidence_of(part.model, backbone, [split], asked)
        assert set(alone.scores) == set(found.scores)
        for name, value in alone.scores.items():
            assert found.scores[name] == (None if value is None else pytest.approx(value, rel=1e-3, abs=1e-3)), name
        assert [row["id"] for row in alone.rows] == [row["id"] for row in found.rows]
        json.dumps([alone.scores, alone.reliability, alone.rows], allow_nan=False)


def test_every_measure_scores_every_attribution(backbone):
    backbone = backbone("tiny_t5")
    (found,) = evidence_of(backbone.model, backbone, SPLITS[:1])
    for name in ATTRIBUTIONS:
        assert f"erasure.{name}.flips_over_random" in found.scores
    assert found.scores["alignment.marked"] > 0 and found.scores["calibration.nll"] > 0
    assert len(found.rows) == 5 and all(len(row["log_p"]) == 3 for row in found.rows)
    couplings = [row["coupling"] for row in found.rows]
    assert sum(couplings) / 5 == pytest.approx(found.scores["coupling.coupling"], rel=1e-4)
    assert sum(one["n"] for one in found.reliability) == 5


@pytest.mark.parametrize("model", ("tiny_t5", "tiny_bart", "tiny_llama", "tiny_gpt2"))
def test_everything_can_be_asked_of_weights_in_bfloat16_with_a_part_in_float32(model, backbone, peft):
    backbone = backbone(model, dtype=torch.bfloat16)
    asked = ASKED | {"examples": 2, "attributions": [*ATTRIBUTIONS, "attention_last", "integrated_gradients"]}
    few = [replace(split, evaluation=tuple(map(cut, split.evaluation))) for split in SPLITS]
    with packed_part(backbone, peft("lora_r4"), [split.seed for split in few], total_steps=1) as part:
        for found in evidence_of(part.model, backbone, few, asked):
            for name in (
                *("calibration.nll", "erasure.saliency.tau", "alignment.saliency.f1", "coupling.coupling"),
                *("agreement.cosine", "mention.flip_rate", "naopc.saliency.comprehensiveness_matched"),
                *(
                    "consistency.attention.by_words",
                    "skewness.integrated_gradients.skewness",
                    "robustness.explanation.0.1",
                ),
            ):
                assert found.scores[name] is not None, name


def cut(example: Example) -> Example:
    """Its fields to their first three words, of which the first is marked."""
    fields = {name: " ".join(text.split()[:3]) for name, text in example.fields.items()}
    return replace(example, fields=fields, rationale=(Span("premise", 0, 1),))


def test_it_leaves_model_and_generators_as_they_were(backbone):
    backbone = backbone("tiny_t5")
    before = {name: tensor.clone() for name, tensor in backbone.model.state_dict().items()}
    attention, state = backbone.model.config._attn_implementation, torch.get_rng_state()
    evidence_of(backbone.model, backbone, SPLITS[:1])
    assert backbone.model.config._attn_implementation == attention
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in backbone.model.state_dict().items())
    assert all(parameter.grad is None for parameter in backbone.model.parameters())


def test_which_examples_are_looked_at_is_the_splits_own_affair():
    assert chosen(SPLITS[0], None) == chosen(SPLITS[0], 8) == list(range(8))
    few = chosen(SPLITS[0], 3)
    assert few == chosen(SPLITS[0], 3) and len(set(few)) == 3 and few != chosen(SPLITS[1], 3)
