"""What a measure cannot say is None, with the count that tells why; what it can is a number, however odd the input."""

import json

import numpy as np
import pytest
from additive import Additive, made

from caref.data.examples import Example, Span
from caref.data.splits import Split
from caref.errors import UserError
from caref.evaluation.parse import Parsed
from caref.evidence.choices import log_probabilities
from caref.evidence.measures import alignment, calibration, erasure, naopc, skewness
from caref.evidence.probe import probe
from caref.evidence.reading import question
from caref.running import lengths

MEASURES = [
    *("calibration", "erasure", "alignment", "coupling", "agreement", "mention", "naopc", "consistency", "skewness"),
]
ATTRIBUTIONS = ["saliency", "leave_one_out", "explanation_words", "human", "random"]


def asked_of(backbone, examples, written, attributions=ATTRIBUTIONS, measures=MEASURES, batch_size=2):
    """The scores of one split of a backbone as it is."""
    asked = {
        "examples": None,
        "attributions": attributions,
        "measures": measures,
        "removal": "delete",
        "choices": "tree",
        "student_lr": 5e-3,
        "student_steps": 100,
    }
    split = Split(0, 7004, (), tuple(examples))
    (found,) = probe(backbone.model, backbone, "esnli", [split], [written], asked, batch_size, max_new_tokens=6)
    json.dumps([found.scores, found.rows], allow_nan=False)
    return found.scores


def none_but(scores, *told):
    """That a measure says nothing but these."""
    assert {name for name, value in scores.items() if value is not None} == set(told)


class Collapsed(Additive):
    """A model that gives one answer whatever it reads."""

    def logits(self, place, gone):
        return super().logits(place, gone) * [0.01, 0.01, 0.01] + [5.0, 0.0, 0.0]


def test_collapsed_predictions_are_told_by_how_many_are_one_choice():
    reading = Collapsed([made(seed, 6) for seed in range(9)])
    found = calibration.scores(reading.log_p()[0], np.arange(9) % 3)
    assert found["most_predicted"] == 100 and found["zero_rate"] == pytest.approx(100 / 3)
    (scores,) = erasure.measure(reading)
    assert scores["all.flips"] == 0 and scores["random.n"] == 9  # nothing flips it, and everything was tried


def test_a_model_that_reads_nothing_has_no_rank_and_no_matched_score():
    reading = Additive([made(seed, 6) for seed in range(9)], scale=0.0)
    (scores,) = erasure.measure(reading)
    for name in reading.attributions:
        assert scores[f"{name}.tau"] is None and scores[f"{name}.tau_n"] == 0 and scores[f"{name}.n"] == 9
        assert scores[f"{name}.comprehensiveness_matched"] is scores[f"{name}.sufficiency_matched"] is None
    (scores,) = naopc.measure(reading)
    none_but(scores, "n")
    (scores,) = skewness.measure(reading)
    assert scores["leave_one_out.skewness"] is None and scores["leave_one_out.n"] == 0
    assert scores["random.skewness"] is not None and scores["random.n"] == 9


def test_without_peoples_marks_alignment_says_nothing_but_that():
    (scores,) = alignment.measure(Additive([made(0, 6), made(1, 5)], attributions=("random", "explanation_words")))
    none_but(scores, "marked", "n")
    assert scores["marked"] == scores["n"] == 0


def test_an_explanation_that_names_nothing_is_zero_beside_others_and_none_alone():
    names = made(0, 6, marked=(1, 2), explanation="for w1 is so"), made(1, 6, marked=(0,), explanation="so it is")
    (scores,) = alignment.measure(Additive(list(names), attributions=("explanation_words",)))
    assert scores["explanation_words.f1"] == pytest.approx((2 / 3 + 0) / 2) and scores["explanation_words.named"] == 50
    (scores,) = alignment.measure(Additive([names[1]], attributions=("explanation_words",)))
    assert scores["explanation_words.f1"] is scores["explanation_words.iou_f1"] is None
    assert scores["explanation_words.named"] == 0 and scores["n"] == 1


def test_fields_of_one_word_have_no_insertions_no_skewness_and_are_asked_all_else(backbone):
    choices = ("entailment", "neutral", "contradiction")
    fields = [{"premise": word, "hypothesis": "Animal"} for word in ("Dogs", "Cats", "Stones")]
    short = [
        Example(str(place), own, choices, place, ("it is",), (Span("premise", 0, 2),))
        for place, own in enumerate(fields)
    ]
    scores = asked_of(backbone("tiny_t5"), short, [Parsed(one.answer, "dogs are", broken=False) for one in short])
    of = {name: {} for name in MEASURES}
    for name, value in scores.items():
        measure, _, rest = name.partition(".")
        of[measure][rest] = value
    none_but(of["mention"], "insertions")
    assert of["mention"]["insertions"] == 0
    assert of["skewness"] == {"words": 2} | {
        f"{name}.{key}": value
        for name in ("saliency", "leave_one_out", "random")
        for key, value in (("skewness", None), ("n", 0))
    }
    assert of["naopc"]["n"] == 3 and of["agreement"]["n"] == 3 and of["agreement"]["cosine"] is not None
    assert of["erasure"]["saliency.n"] == 3 and of["alignment"]["n"] == 3


def test_missing_explanations_are_counted_and_none_is_taken_for_one_that_says_nothing(backbone, examples):
    few = examples("esnli", 4)
    scores = asked_of(backbone("tiny_t5"), few, [Parsed(one.answer, "", broken=True) for one in few])
    for count in ("coupling.coupling_n", "agreement.n", "erasure.explanation_words.n", "mention.explained"):
        assert scores[count] == 0, count
    assert scores["alignment.explanation_words.named"] == 0 and scores["mention.insertions"] == 16
    for name in (
        *("coupling.coupling", "coupling.coupled", "agreement.cosine", "agreement.over_chance"),
        *("erasure.explanation_words.words", "erasure.explanation_words.flips", "alignment.explanation_words.f1"),
        *("mention.unmentioned", "mention.cct", "mention.phi", "mention.mention_rate", "mention.explanation_length"),
    ):
        assert scores[name] is None, name


def test_a_model_without_attention_is_asked_all_else_and_refuses_that(mamba, examples):
    few, mamba = examples("esnli", 3), mamba()
    written = [Parsed(one.answer, one.explanations[0], broken=False) for one in few]
    with pytest.raises(UserError, match=r"evidence\.attributions=attention: this model has no attention"):
        asked_of(mamba, few, written, ["attention"], ["erasure"])
    scores = asked_of(mamba, few, written)
    for name in (
        *("calibration.nll", "erasure.saliency.tau", "coupling.coupling", "agreement.cosine"),
        *("mention.flip_rate", "consistency.saliency.by_words", "skewness.saliency.skewness"),
    ):
        assert scores[name] is not None, name


@pytest.mark.parametrize("model", ("tiny_t5", "tiny_llama", "mamba"))
def test_more_and_longer_choices_than_a_batch_holds_are_all_read(model, backbone, mamba, examples):
    backbone = mamba() if model == "mamba" else backbone(model)
    (example, other) = examples("esnli", 2)
    many = ("yes", "no", "perhaps " * 40 + "so", "?", "it may be", "maybe")
    asked = [question("esnli", Example("1", example.fields, many, 2, ("x",)), backbone).asked]
    asked.append(question("esnli", other, backbone).asked)
    assert len(asked[0].continuations[2]) > len(asked[0].prompt)
    (found,) = log_probabilities(backbone.model, backbone, [asked], batch_size=1)
    assert [len(values) for values in found] == [6, 3]
    for one, values in zip(asked, found, strict=True):
        for choice, value in zip(one.continuations, values, strict=True):
            alone = type(one)(one.prompt, (choice,))
            (((expected,),),) = log_probabilities(backbone.model, backbone, [[alone]], batch_size=4)
            assert value == pytest.approx(expected, rel=1e-5)


def test_a_choice_that_is_longer_than_the_models_positions_is_refused(backbone):
    gpt2 = backbone("tiny_gpt2")
    (limit,) = lengths.limits(gpt2).values()
    fitting, longer = ([lengths.Encoded((7,) * 20, (7,) * (limit + 1 - 20 - 10 + more), 0)] for more in (0, 1))
    few = [lengths.Encoded((7,) * 20, (7,) * 5, 1)]
    lengths.check(gpt2, few, few, 10, 0, fitting)
    with pytest.raises(UserError, match=rf"evidence\.measures: a choice with an explanation .* but gpt2 has {limit}"):
        lengths.check(gpt2, few, few, 10, 0, longer)
