"""Calibration: does a model's confidence in the most probable choice say how often it is right?

Shares are in percent, as accuracy is. `*_tempered` is after dividing log-probabilities by one temperature, fitted to
the negative log-likelihood on one half of the examples and scored on the other, both ways (Guo et al. 2017): what is
left of miscalibration once mere confidence is set right.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from caref.analysis import risk
from caref.data.prompts import normalised
from caref.evidence.reading import Question, Reading

BINS = 15


def measure(reading: Reading) -> list[dict[str, float | None]]:
    """The scores of each split, None where they do not exist (AUROC of a model that is always right).

    Returns:
        `scores`, `written`, and disagreement_summed: % whose written answer is not the choice of the greatest sum of
        log p over all its tokens, which a flat distribution turns to choices of few.
    """
    return [
        scores(table, np.array([one.example.label for one in questions]))
        | written(questions, table)
        | {"disagreement_summed": written(questions, summed)["disagreement"]}
        for questions, table, summed in zip(reading.splits, reading.log_p(), reading.summed_log_p(), strict=True)
    ]


def scores(log_p: np.ndarray, labels: np.ndarray) -> dict[str, float | None]:
    """All scores that rest on the choices' probabilities.

    Args:
        log_p: (examples, choices), normalised or not; -inf for a choice that an example does not have.
        labels: (examples,) the right choice.

    Returns:
        choice_accuracy: % whose most probable choice is right. confidence: its mean probability x 100.
        ece, ece_mass: expected calibration error x 100, over 15 bins of equal width, of equal size. brier: sum over
        choices of (p - [right])^2, in [0, 2]. nll: in nats. auroc: of confidence for being right. aurc: area under
        risk over coverage, the most confident first (Geifman and El-Yaniv 2017). temperature: fitted on all.
        label_bias: total variation x 100 between how often choices are predicted, by place, and how often right.
        most_predicted: % that the choice (by place) predicted most often gets; zero_rate: % right by always giving
        the most frequent right one.
    """
    log_p = log_softmax(log_p, axis=-1)
    p = np.exp(log_p)
    predicted = p.argmax(-1)
    confidence, right = p.max(-1), predicted == labels
    hot = np.eye(p.shape[-1])[labels]
    shares = [np.bincount(places, minlength=p.shape[-1]) / len(labels) for places in (predicted, labels)]
    return {
        "choice_accuracy": 100 * float(right.mean()),
        "confidence": 100 * float(confidence.mean()),
        "ece": 100 * ece(confidence, right, equal_width(confidence)),
        "ece_mass": 100 * ece(confidence, right, equal_mass(confidence)),
        "brier": float(((p - hot) ** 2).sum(-1).mean()),
        "nll": nll(log_p, labels),
        "auroc": auroc(confidence, right),
        "aurc": aurc(confidence, right),
        "temperature": temperature(log_p, labels),
        **tempered(log_p, labels),
        "label_bias": 50 * float(abs(shares[0] - shares[1]).sum()),
        "most_predicted": 100 * float(shares[0].max()),
        "zero_rate": 100 * float(shares[1].max()),
    }


def written(questions: Sequence[Question], log_p: np.ndarray) -> dict[str, float]:
    """How what a model writes compares with the choice that it holds most probable.

    Returns:
        disagreement: % whose written answer is not the most probable choice; unreadable: % whose is no choice at all.
    """
    answers = [normalised(one.answer) for one in questions]
    known = [[normalised(choice) for choice in one.example.choices] for one in questions]
    probable = [choices[place] for choices, place in zip(known, log_p.argmax(-1), strict=True)]
    return {
        "disagreement": 100 * float(np.mean([one != other for one, other in zip(answers, probable, strict=True)])),
        "unreadable": 100 * float(np.mean([one not in other for one, other in zip(answers, known, strict=True)])),
    }


def ece(confidence: np.ndarray, right: np.ndarray, bins: np.ndarray) -> float:
    """Expected calibration error (Naeini et al. 2015): mean over bins, by size, of |accuracy - confidence|.

    Args:
        confidence, right: (examples,).
        bins: (examples,), in which bin each is.
    """
    return sum(
        abs(right[bins == one].mean() - confidence[bins == one].mean()) * float((bins == one).mean())
        for one in np.unique(bins)
    )


def equal_width(confidence: np.ndarray) -> np.ndarray:
    """Bins (0, 1/15], ..., (14/15, 1]."""
    return np.clip(np.ceil(confidence * BINS).astype(int) - 1, 0, BINS - 1)


def equal_mass(confidence: np.ndarray) -> np.ndarray:
    """Bins of as many examples each, to within one; of equally confident ones in the order they come."""
    places = np.empty(len(confidence), dtype=int)
    for number, members in enumerate(np.array_split(np.argsort(confidence, kind="stable"), BINS)):
        places[members] = number
    return places


def reliability(confidence: np.ndarray, right: np.ndarray) -> list[dict[str, float]]:
    """Of each bin of equal width that holds any: how many, their mean confidence and accuracy, in [0, 1]."""
    bins = equal_width(confidence)
    return [
        {
            "bin": int(one),
            "n": int((bins == one).sum()),
            "confidence": float(confidence[bins == one].mean()),
            "accuracy": float(right[bins == one].mean()),
        }
        for one in np.unique(bins)
    ]


def nll(log_p: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-likelihood of the right choices, in nats."""
    return -float(np.take_along_axis(log_p, labels[:, None], axis=-1).mean())


def auroc(confidence: np.ndarray, right: np.ndarray) -> float | None:
    """How often a right example is more confident than a wrong one; None where all are one of the two."""
    if right.all() or not right.any():
        return None
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(right, confidence))


def aurc(confidence: np.ndarray, right: np.ndarray) -> float:
    """Area under the risk-coverage curve: mean share of wrong answers among the n most confident, over all n."""
    return float(risk.over_coverage(confidence, ~right).mean())


def temperature(log_p: np.ndarray, labels: np.ndarray) -> float:
    """What log-probabilities are divided by to be most likely, within [1/100, 100]; 1/100 where all are right."""
    if (log_p.argmax(-1) == labels).all():
        return 1 / 100  # the likelihood rises all the way, and from where it is 1 to the last digit it is flat

    def loss(log_t: float) -> float:
        return nll(log_softmax(log_p / np.exp(log_t), axis=-1), labels)

    limit = np.log(100)
    return float(np.exp(minimize_scalar(loss, bounds=(-limit, limit), method="bounded", options={"xatol": 1e-8}).x))


def tempered(log_p: np.ndarray, labels: np.ndarray) -> Mapping[str, float | None]:
    """`nll` and `ece` at the temperature of the other half of the examples; None for fewer than two."""
    if len(labels) < 2:
        return {"nll_tempered": None, "ece_tempered": None}
    found = np.empty_like(log_p)
    for half, other in ((slice(0, None, 2), slice(1, None, 2)), (slice(1, None, 2), slice(0, None, 2))):
        found[half] = log_softmax(log_p[half] / temperature(log_p[other], labels[other]), axis=-1)
    p = np.exp(found)
    confidence, right = p.max(-1), p.argmax(-1) == labels
    return {
        "nll_tempered": nll(found, labels),
        "ece_tempered": 100 * ece(confidence, right, equal_width(confidence)),
    }
