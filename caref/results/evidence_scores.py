"""Every score that evidence may hold, and how it is called, read and shown: a new one is one line here.

A score that is not listed is shown too, under the name that its file holds it by.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from caref.results.measures import PAIRS, Measure


@dataclass(frozen=True)
class Score(Measure):
    """A measure of evidence; those in `PAIRS` are tested with against without the regulariser.

    Attributes:
        moved: whether dividing all log-probabilities of the choices by one number moves it; None where nobody said.
    """

    moved: bool | None = None

    @property
    def head(self) -> str:
        """ "ECE† (%) ↓": a dagger where a temperature moves it, an arrow to where it is better."""
        named = self.label + "†" * bool(self.moved)
        way = {True: " ↑", False: " ↓", None: ""}[self.up]
        return f"{named} ({self.unit}){way}" if self.unit else named + way

    @property
    def told(self) -> str:
        """What it is, in one line."""
        better = {True: "; higher is better", False: "; lower is better", None: ""}[self.up]
        moves = {True: "; a temperature moves it", False: "; no temperature moves it", None: ""}[self.moved]
        return f"{self.label}: {self.meaning}{better}{moves}"


def _score(label: str, unit: str, decimals: int, up: bool | None, meaning: str, moved: bool, tested=False) -> Score:
    return Score(label, unit, decimals, up, (PAIRS,) if tested else (), meaning, moved)


# A * stands for an attribution, a second one for a right answer.
SCORES: Mapping[str, Score] = {
    "calibration.choice_accuracy": _score(
        "accuracy of choices", "%", 2, True, "right answers, were the most probable choice the answer", False, True
    ),
    "calibration.confidence": _score("confidence", "%", 2, None, "mean probability of the most probable choice", True),
    "calibration.ece": _score(
        "ECE", "%", 2, False, "expected calibration error, 15 bins of equal width", True, tested=True
    ),
    "calibration.ece_mass": _score("ECE by mass", "%", 2, False, "the same, bins of as many examples each", True),
    "calibration.ece_tempered": _score(
        "ECE tempered", "%", 2, False, "ECE at the temperature that fits the other half of the examples", False, True
    ),
    "calibration.brier": _score("Brier", "", 3, False, "squared error of all choices' probabilities, 0 to 2", True),
    "calibration.nll": _score("NLL", "nats", 3, False, "negative log-likelihood of the right choice", True, True),
    "calibration.nll_tempered": _score(
        "NLL tempered", "nats", 3, False, "NLL at the temperature that fits the other half of the examples", False, True
    ),
    "calibration.auroc": _score(
        "AUROC", "", 3, True, "how often a right answer is more confident than a wrong one", True, True
    ),
    "calibration.aurc": _score("AURC", "", 3, False, "area under risk over coverage", True, True),
    "calibration.temperature": _score(
        "temperature", "", 2, None, "makes right choices likeliest, 0.01 to 100, where all choices are alike", True
    ),
    "calibration.label_bias": _score(
        "label bias", "%", 2, False, "total variation between predicted and right choices", False
    ),
    "calibration.most_predicted": _score(
        "most predicted", "%", 2, None, "share of the choice predicted most often", False
    ),
    "calibration.zero_rate": _score(
        "zero rate", "%", 2, None, "right by always giving the most frequent answer", False
    ),
    "calibration.disagreement": _score(
        "disagreement", "%", 2, False, "written answers that are not the most probable choice", False, tested=True
    ),
    "calibration.disagreement_summed": _score(
        "disagreement, summed",
        "%",
        2,
        False,
        "written answers that are not the choice of the highest log p of all tokens; flat tokens favour short choices",
        True,
        tested=True,
    ),
    "calibration.unreadable": _score("unreadable", "%", 2, False, "written answers that are no choice", False),
    "coupling.coupling": _score(
        "coupling", "nats", 3, True, "log p of the explanation given its answer less given the best other", True, True
    ),
    "coupling.coupled": _score("coupled", "%", 2, True, "explanations that come readiest after their answer", True),
    "coupling.coupling_n": _score(
        "coupling on", "examples", 1, None, "examples with an explanation of a choice", False
    ),
    "agreement.cosine": _score(
        "CC-IxG", "", 3, True, "cosine of what answer and explanation rest on, by signed input x gradient", False
    ),
    "agreement.over_chance": _score(
        "CC-IxG over chance", "", 3, True, "less what it is in expectation over all orders of the words", False, True
    ),
    "agreement.n": _score("CC-IxG on", "examples", 1, None, "examples with an explanation of a choice", False),
    "mention.insertions": _score("insertions", "", 1, None, "words inserted", False),
    "mention.explained": _score("explained", "%", 2, None, "insertions after which an explanation is written", False),
    "mention.flip_rate": _score(
        "insertions that flip", "%", 2, None, "inserted words that change the prediction", False
    ),
    "mention.unmentioned": _score(
        "unmentioned (CT)", "%", 2, False, "examples whose explanation leaves out a word that flipped them", False, True
    ),
    "mention.cct": _score(
        "CCT", "", 3, True, "correlation of how far a word moves probabilities with its mention", True
    ),
    "mention.phi": _score("phi-CCT", "", 3, True, "correlation of flip and mention", False, tested=True),
    "mention.mention_rate": _score("mentioned", "%", 2, None, "inserted words that the new explanation holds", False),
    "mention.explanation_length": _score("length", "words", 1, None, "of the explanations after insertions", False),
    "mention.mention_rate_before": _score(
        "mentioned uninserted", "%", 2, None, "control: about 0, the same words where they were not inserted", False
    ),
    "mention.mention_rate_copied": _score(
        "mentioned by a copy", "%", 2, None, "control: 100, by an explanation that copies the input", False
    ),
    "erasure.all.flips": _score("flips without any word", "%", 2, None, "predictions that change then", False),
    "erasure.*.n": _score("on", "examples", 1, None, "examples of which it names a word", False),
    "erasure.*.words": _score("words removed", "words", 1, None, "for a flip", False),
    "erasure.*.flips": _score("flips", "%", 2, True, "predictions that change without the top words", False),
    "erasure.*.flips_over_random": _score(
        "flips less random", "points", 2, True, "flips less those of as many random words", False, tested=True
    ),
    "erasure.*.flips_over_content": _score(
        "flips less random content words",
        "points",
        2,
        True,
        "flips less those of random words it could name",
        False,
    ),
    "erasure.*.flips_over_random_marked": _score(
        "flips less random where marked", "points", 2, True, "the same, of examples that people marked alone", False
    ),
    "erasure.*.tau": _score(
        "τ with leave-one-out", "", 3, True, "Kendall's rank correlation of the words' scores", False, tested=True
    ),
    "erasure.*.tau_n": _score("τ on", "examples", 1, None, "examples with a rank correlation", False),
    "erasure.*.unscored": _score(
        "top by place alone", "%", 2, None, "of the top words at ERASER's thresholds: those that have score 0", False
    ),
    "erasure.*.comprehensiveness_matched": _score(
        "COMP matched", "", 3, True, "COMP at the temperature of one mean confidence for all", False, tested=True
    ),
    "erasure.*.sufficiency_matched": _score(
        "SUFF matched", "", 3, False, "SUFF at the temperature of one mean confidence for all", False, tested=True
    ),
    "erasure.*.comprehensiveness": _score(
        "COMP", "", 3, True, "comprehensiveness: fall of the probability without the top words", True
    ),
    "erasure.*.sufficiency": _score(
        "SUFF", "", 3, False, "sufficiency: fall of the probability with the top words alone", True
    ),
    "erasure.*.log_odds_drop": _score(
        "log-odds drop", "nats", 3, True, "fall of the log-odds without the top words", True
    ),
    "naopc.n": _score("NAOPC on", "examples", 1, None, "examples with few enough words", False),
    "naopc.words": _score("their words", "words", 1, None, "of these examples", False),
    "naopc.*.comprehensiveness_matched": _score(
        "NAOPC matched", "", 3, True, "NAOPC at the temperature of one mean confidence for all", False
    ),
    "naopc.*.sufficiency_matched": _score(
        "NAOPC of SUFF matched", "", 3, False, "the same, from the lowest word up", False
    ),
    "naopc.*.comprehensiveness": _score(
        "NAOPC", "", 3, True, "AOPC from the worst order of words, 0, to the best, 1", True
    ),
    "naopc.*.sufficiency": _score("NAOPC of SUFF", "", 3, False, "the same, from the lowest word up", True),
    "alignment.n": _score("marked in", "examples", 1, None, "examples of which people marked a word", False),
    "alignment.marked": _score("marked", "%", 2, None, "examples of which people marked a word", False),
    "alignment.chance.f1": _score("F1 of chance", "", 3, None, "alignment of random words, in expectation", False),
    "alignment.*.f1": _score(
        "F1 with people", "", 3, True, "of the top words, as many as people marked, with those", False, tested=True
    ),
    "alignment.*.f1.*": _score("F1 with people", "", 3, True, "the same, of one right answer", False),
    "alignment.*.iou_f1": _score("IOU F1", "", 3, True, "of spans that overlap at least by half", False),
    "alignment.*.auprc": _score("AUPRC", "", 3, True, "of the words' scores for people's marks", False),
    "alignment.*.auc": _score("AUC", "", 3, True, "of the words' scores for people's marks", False),
    "alignment.*.named": _score("named", "%", 2, None, "of these, examples of which it names a word", False),
    "consistency.*.by_words": _score(
        "consistency by words", "", 3, True, "of distances between hidden states and between words' scores", False
    ),
    "consistency.*.pairs": _score("on", "pairs", 1, None, "pairs of examples with a rank correlation", False),
    "consistency.*.by_examples": _score(
        "consistency by examples", "", 3, True, "of distances between examples' hidden states and scores", False
    ),
    "consistency.*.examples": _score("on", "examples", 1, None, "examples with a score that is not 0", False),
    "robustness.n": _score("noise on", "examples", 1, None, "examples", False),
    "robustness.explained_n": _score("of them explained", "examples", 1, None, "by the model", False),
    "simulatability.n": _score("SIM on", "examples", 1, None, "examples that students were not taught on", False),
    "simulatability.taught": _score("taught on", "examples", 1, None, "examples that students were taught on", False),
    "simulatability.untaught": _score(
        "SIM untaught", "%", 2, None, "control: answers of the model foreseen by what it was before its training", False
    ),
    "simulatability.most_frequent": _score(
        "SIM of one answer",
        "%",
        2,
        None,
        "control: by whoever always says the choice, by its place, that the model made most often where students were "
        "taught",
        False,
    ),
    "simulatability.untold": _score(
        "SIM untold", "%", 2, None, "by a student that is taught the model's answers without explanations", False
    ),
    "simulatability.*.sim": _score(
        "SIM", "%", 2, True, "simulatability: by a student that is taught with the explanations too", False
    ),
    "simulatability.*.over_untold": _score(
        "SIM less untold", "points", 2, True, "what the explanations add to the student's foresight", False, tested=True
    ),
    "skewness.words": _score("words", "words", 1, None, "that can be ranked", False),
    "skewness.*.skewness": _score("skewness", "", 3, None, "of the words' scores: high where few words count", False),
    "skewness.*.n": _score("on", "examples", 1, None, "examples with three words or more", False),
    **{
        f"robustness.{key}.{noise:g}": _score(f"{label}, noise {noise:g}", unit, decimals, up, meaning, False)
        for key, label, unit, decimals, up, meaning in (
            ("kept", "kept", "%", 2, None, "whose most probable choice is the one without noise"),
            ("accuracy", "accuracy", "%", 2, None, "whose most probable choice is right under noise"),
            ("explanation", "explanation", "nats a token", 3, None, "change of log p of the explanation under noise"),
            ("joint", "joint", "", 3, True, "rank correlation of the changes of answer and explanation"),
        )
        for noise in (0.01, 0.03, 0.1, 0.3, 1.0)
    },
}
