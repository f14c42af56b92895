"""Erasure: does the answer change without the words that an attribution names?

Of each attribution, for the predicted choice. Comprehensiveness and sufficiency are differences of probabilities, which
a temperature moves, and CAREF's regulariser is one: they never stand alone here. Beside them stand flips less those of
random words, agreement in rank with leave-one-out, and both after each model's probabilities were brought to one mean
confidence; no temperature moves any of these.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.special import log_softmax
from scipy.stats import kendalltau

from caref.evidence import attribution
from caref.evidence.attribution import SETS
from caref.evidence.leads import lead
from caref.evidence.reading import Question, Reading

PERCENT = (1, 5, 10, 20, 50)  # ERASER's thresholds
FLIPS_AT = 20  # percent of the words that are removed where neither people nor an explanation say how many
DRAWS = 5  # random sets of words, each of the size compared with


def measure(reading: Reading) -> list[dict[str, float | None]]:
    """The scores of each split, by attribution; None where no example has one.

    Returns:
        `all.flips`: % of predictions that change when every word goes. Of each attribution A: `A.n`, of how many
        examples it names a word; of these `A.words`, mean number of words removed for a flip; `A.flips`, % that change;
        `A.flips_over_random`, less the mean of as many random words; where there are words that A never names
        `A.flips_over_content`, less as many random ones of the others; where people marked words, and `human` is
        asked, `A.flips_over_random_marked`, of these examples alone; and where A ranks the words
        `A.comprehensiveness`, mean over 1, 5, 10, 20 and 50 % of p(x) - p(x without the top words); `A.sufficiency`,
        of p(x) - p(the top words alone); `_matched`, the same at the temperature that gives the model a mean
        confidence half-way between chance and certainty; `A.log_odds_drop`, of log p / (1 - p), as the first; `A.tau`,
        Kendall's rank correlation with leave-one-out, mean over the `A.tau_n` examples that have one; `A.unscored`, %
        of the top words that have score 0, mean over thresholds and examples: they are top by their place in the text.
    """
    found = [{"all.flips": _mean(flips, 100)} for flips in _flips(reading, _everything(reading))]
    for name in reading.attributions:
        ranked = reading.word_scores(name)
        tops = [
            [top(one.rankable, scores, size(name, one, scores)) for one, scores in zip(*pair, strict=True)]
            for pair in zip(reading.splits, ranked, strict=True)
        ]
        flips = _flips(reading, tops)
        over = {"random": _over(flips, _random_flips(reading, tops, lambda one: one.rankable))}
        if nameable := getattr(attribution.of(name), "nameable", None):
            over["content"] = _over(flips, _random_flips(reading, tops, nameable))
        for split, scores in enumerate(found):
            # An example of which no word is named tells nothing.
            named = [place for place, words in enumerate(tops[split]) if words]
            scores[f"{name}.n"] = float(len(named))
            scores[f"{name}.words"] = _mean([len(tops[split][place]) for place in named])
            scores[f"{name}.flips"] = _mean([flips[split][place] for place in named], 100)
            for control, values in over.items():
                scores[f"{name}.flips_over_{control}"] = _mean([values[split][place] for place in named], 100)
            if "human" in reading.attributions and name != "human":
                marked = [place for place in named if any(word.marked for word in reading.splits[split][place].words)]
                own = _mean([over["random"][split][place] for place in marked], 100)
                scores[f"{name}.flips_over_random_marked"] = own
        if name not in SETS:
            for scores, more in zip(found, _by_threshold(reading, name), strict=True):
                scores.update({f"{name}.{key}": value for key, value in more.items()})
    return found


def size(name: str, question: Question, scores: np.ndarray) -> int:
    """How many words an attribution removes to flip an answer: those it names; else as many as people marked."""
    if name in SETS:
        return int(scores[question.rankable].sum())
    return held_to(question)


def held_to(question: Question) -> int:
    """How many words of a question are removed where an attribution ranks them: as people marked, else 20 %."""
    marked = sum(question.words[place].marked for place in question.rankable)
    return marked or share(len(question.rankable), FLIPS_AT)


def share(words: int, percent: float) -> int:
    """n_k = max(1, round(k L / 100)), halves to even as UNIREX rounds; 0 of no words."""
    return min(words, max(1, round(percent * words / 100)))


def top(rankable: Sequence[int], scores: np.ndarray, count: int) -> tuple[int, ...]:
    """Places of the `count` words that score highest; ties by position, the same for all attributions."""
    return tuple(sorted(sorted(rankable, key=lambda place: (-scores[place], place))[:count]))


def _everything(reading: Reading) -> list[list[list[int]]]:
    return [[one.rankable for one in questions] for questions in reading.splits]


def _flips(reading: Reading, removed: Sequence[Sequence[Sequence[int]]]) -> list[list[float]]:
    """By split and question 1.0 where the prediction changes when these words go."""
    after = reading.log_p_without([[[words] for words in each] for each in removed])
    return [
        [float(table[0].argmax() != before) for table, before in zip(tables, predicted, strict=True)]
        for tables, predicted in zip(after, reading.predicted(), strict=True)
    ]


def _over(flips: Sequence[Sequence[float]], control: Sequence[Sequence[float]]) -> list[list[float]]:
    return [[one - other for one, other in zip(*pair, strict=True)] for pair in zip(flips, control, strict=True)]


def _random_flips(
    reading: Reading, tops: Sequence[Sequence[Sequence[int]]], among: Callable[[Question], Sequence[int]]
) -> list[list[float]]:
    """By split and question the share of draws of as many random words whose removal changes the prediction.

    Args:
        among: places of the words of a question that are drawn from.
    """
    drawn = [
        [
            [
                tuple(np.random.default_rng((one.seed, draw)).permutation(among(one))[: len(words)].tolist())
                for draw in range(DRAWS)
            ]
            for one, words in zip(questions, each, strict=True)
        ]
        for questions, each in zip(reading.splits, tops, strict=True)
    ]
    return [
        [float((table.argmax(-1) != before).mean()) for table, before in zip(tables, predicted, strict=True)]
        for tables, predicted in zip(reading.log_p_without(drawn), reading.predicted(), strict=True)
    ]


def _by_threshold(reading: Reading, name: str) -> list[dict[str, float | None]]:
    """What rests on the order of the words, of each split."""
    ranked, single = reading.word_scores(name), reading.word_scores("leave_one_out")
    variants, unscored = [], []
    for questions, scores in zip(reading.splits, ranked, strict=True):
        variants.append([])
        unscored.append([])
        for one, own in zip(questions, scores, strict=True):
            tops = [top(one.rankable, own, share(len(one.rankable), percent)) for percent in PERCENT]
            rests = [tuple(sorted(set(one.rankable) - set(words))) for words in tops]
            variants[-1].append(tops + rests)
            unscored[-1] += [float((own[list(words)] == 0).mean()) for words in tops if words]
    found = []
    for split, tables in enumerate(reading.log_p_without(variants)):
        whole, labels = reading.log_p()[split], reading.predicted()[split]
        matched = matching_temperature(whole)
        drops = [
            drops_of(whole[place], tables[place], label, matched)
            for place, label in enumerate(labels)
            if reading.splits[split][place].rankable
        ]
        taus = [
            kendalltau(own[one.rankable], other[one.rankable]).statistic
            for one, own, other in zip(reading.splits[split], ranked[split], single[split], strict=True)
            if len(one.rankable) > 1
        ]
        # All words alike to one of the two: no rank correlation.
        taus = [tau for tau in taus if not np.isnan(tau)]
        keys = (
            *("comprehensiveness", "sufficiency", "log_odds_drop"),
            *("comprehensiveness_matched", "sufficiency_matched"),
        )
        found.append({key: _mean([drop[key] for drop in drops if drop[key] is not None]) for key in keys})
        found[-1] |= {"tau": _mean(taus), "tau_n": float(len(taus)), "unscored": _mean(unscored[split], 100)}
    return found


def drops_of(whole: np.ndarray, tables: np.ndarray, label: int, matched: float | None) -> dict[str, float | None]:
    """By how much the predicted choice falls, mean over the thresholds.

    Args:
        whole: (choices,) log-probabilities of the whole text.
        tables: (2 x thresholds, choices): without the top words, then of the top words alone.
        label: the predicted choice.
        matched: a temperature; None where there is none.
    """
    count = len(tables) // 2

    def p(log_p: np.ndarray, t: float = 1.0) -> np.ndarray:
        return np.exp(log_softmax(log_p / t, axis=-1)[..., label])

    found = {
        "comprehensiveness": float((p(whole) - p(tables[:count])).mean()),
        "sufficiency": float((p(whole) - p(tables[count:])).mean()),
        "log_odds_drop": float((log_odds(whole, label) - log_odds(tables[:count], label)).mean()),
        "comprehensiveness_matched": None,
        "sufficiency_matched": None,
    }
    if matched is not None:
        found["comprehensiveness_matched"] = float((p(whole, matched) - p(tables[:count], matched)).mean())
        found["sufficiency_matched"] = float((p(whole, matched) - p(tables[count:], matched)).mean())
    return found


def log_odds(log_p: np.ndarray, label: int) -> np.ndarray:
    """log p - log(1 - p) of a choice, from log-probabilities, which do not cancel near 1."""
    others = np.delete(log_p, label, axis=-1)
    return log_p[..., label] - np.logaddexp.reduce(others, axis=-1)


def matching_temperature(log_p: np.ndarray) -> float | None:
    """The temperature at which the mean confidence is half-way between chance and certainty.

    Divided log-probabilities give a temperature divided alike: what is computed at it does not depend on how flat or
    peaked a model is.

    Args:
        log_p: (examples, choices).

    Returns:
        None where no temperature does, as for a model that holds all choices equally probable.
    """
    if not len(log_p):
        return None
    choices = np.isfinite(log_p).sum(-1).mean()
    level = (1 + 1 / choices) / 2
    leads = np.array([lead(row[np.isfinite(row)], int(row.argmax())) for row in log_p])
    unit = float(leads.mean())
    if not unit > 0:
        return None

    def apart(log_t: float) -> float:
        return float(np.exp(log_softmax(log_p / (unit * np.exp(log_t)), axis=-1)).max(-1).mean()) - level

    if apart(-20) < 0 or apart(20) > 0:
        return None
    return unit * float(np.exp(brentq(apart, -20, 20, xtol=1e-12)))


def _mean(values: Sequence[float], scale: float = 1.0) -> float | None:
    return scale * float(np.mean(values)) if len(values) else None
