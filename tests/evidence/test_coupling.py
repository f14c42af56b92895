"""Answer coupling against one forward pass an explanation and choice."""

import numpy as np
import pytest
import torch

from caref.evidence.measures import coupling
from caref.evidence.reading import Reading, question


@torch.no_grad()
def log_p_of_text(backbone, asked, choice: str, explanation: str) -> float:
    """log p(explanation and end | source, choice because), without padding."""
    tokenizer = backbone.tokenizer
    told = tokenizer(f"{choice} because", add_special_tokens=False).input_ids
    whole = [*tokenizer(f"{choice} because {explanation}", add_special_tokens=False).input_ids, tokenizer.eos_token_id]
    if backbone.encoder_decoder:
        read = [backbone.model.config.decoder_start_token_id, *whole[:-1]]
        logits = backbone.model(input_ids=torch.tensor([asked.prompt]), decoder_input_ids=torch.tensor([read])).logits
    else:
        logits = backbone.model(input_ids=torch.tensor([[*asked.prompt, *whole]])).logits[:, len(asked.prompt) - 1 : -1]
    each = logits.log_softmax(-1)[0].gather(-1, torch.tensor(whole).unsqueeze(-1)).squeeze(-1)
    return each[len(told) :].sum().item()


@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama"))
def test_it_is_what_the_explanation_gains_by_its_own_answer(model, backbone, examples):
    backbone = backbone(model, dtype=torch.float64)
    few = examples("esnli", 4)
    answers = ["entailment", "Neutral", "no choice", "contradiction"]
    explanations = [few[0].explanations[0], "a dog is an animal", "because", ""]
    asked = [question("esnli", *one[:1], backbone, *one[1:]) for one in zip(few, answers, explanations, strict=True)]
    reading = Reading(backbone.model, backbone, [asked], batch_size=3)
    (found,) = coupling.measure(reading)
    expected = []
    for place, answered in ((0, 0), (1, 1)):  # the third is no choice, the fourth has no explanation
        each = [
            log_p_of_text(backbone, asked[place].asked, choice, explanations[place]) for choice in few[place].choices
        ]
        expected.append(each[answered] - max(np.delete(each, answered)))
    assert found["coupling"] == pytest.approx(np.mean(expected), abs=1e-6)
    assert found["coupled"] == pytest.approx(100 * np.mean(np.array(expected) > 0))
    assert found["coupling_n"] == 2
    (left,) = reading.by_example["coupling"]
    assert left[:2] == pytest.approx(expected, abs=1e-6) and left[2:] == [None, None]


def test_without_any_explanation_there_is_none(backbone, examples):
    backbone = backbone("tiny_t5")
    asked = [question("esnli", one, backbone, "entailment") for one in examples("esnli", 2)]
    (found,) = coupling.measure(Reading(backbone.model, backbone, [asked]))
    assert found == {"coupling": None, "coupled": None, "coupling_n": 0}
