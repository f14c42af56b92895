"""What people said of the explanations (RQ4), as `python -m caref.ratings agree` leaves it for the report."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from caref.analysis.grid import Grid
from caref.errors import UserError


@dataclass(frozen=True)
class Score:
    """One system on one dataset, on the paper's scale: yes 1, weak yes 2/3, weak no 1/3, no 0.

    Args:
        kind: cell, or gold for what people wrote.
        n: items, each the mean of its raters; `unexplained` of them had no explanation and count as 0.
        se: standard error of the mean over items; None of one item.
        low, high: 95% bootstrap interval of the mean over items.
        shares: of each answer among an item's ratings, mean over items in %, in the question's order; an unexplained
            item is all no, so that the shares give the mean.
        reasons: % of yes to FEB's further questions, by their name, where they were asked: mean over items, no for
            those unexplained.
    """

    dataset: str
    system: str
    cell: str
    kind: str
    n: int
    ratings: int
    unexplained: int
    mean: float
    se: float | None
    low: float | None
    high: float | None
    shares: list[float]
    reasons: dict[str, float]


@dataclass(frozen=True)
class Agreement:
    """How far the raters of a panel agree; a figure is None where it is not defined.

    Args:
        alpha: Krippendorff's, ordinal, of `items` with two ratings or more; low, high: 95% bootstrap over items.
        fleiss: Fleiss' kappa (nominal) of the `complete` items, which every rater of the panel rated.
        pairs: (rater, rater, items, Cohen's kappa with quadratic weights).
    """

    panel: str
    raters: int
    items: int
    ratings: int
    alpha: float | None
    low: float | None
    high: float | None
    fleiss: float | None
    complete: int
    pairs: list[tuple[str, str, int, float | None]]


@dataclass(frozen=True)
class Contrast:
    """`left` less `right` on one dataset, over the inputs both were judged on.

    Args:
        n, mean, low, high, p, p_holm, effect: paired over inputs, as in `significance.Difference`.
        mixed, mixed_se, mixed_p: the same difference in a linear mixed model, raters and inputs as random
            effects; None where it was not fitted, and `mixed_note` says why.
    """

    family: str
    dataset: str
    left: str
    right: str
    n: int
    mean: float | None
    low: float | None
    high: float | None
    p: float | None
    p_holm: float | None
    effect: float | None
    mixed: float | None
    mixed_se: float | None
    mixed_p: float | None
    mixed_note: str


@dataclass(frozen=True)
class Correlation:
    """Spearman's rho between an automatic score and the mean rating, over items; interval by inputs."""

    dataset: str
    measure: str
    n: int
    rho: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Judgement:
    demo: bool
    raters: int
    scores: list[Score]
    agreement: list[Agreement]
    contrasts: list[Contrast]
    correlations: list[Correlation]
    notes: list[str]


def to_json(judgement: Judgement) -> bytes:
    return json.dumps(asdict(judgement), indent=1, sort_keys=True, ensure_ascii=False).encode()


def read(path: Path) -> Judgement:
    """What `agree` wrote.

    Raises:
        UserError: where it is not there, or is something else.
    """
    try:
        held = json.loads(path.read_bytes())
        return Judgement(
            held["demo"],
            held["raters"],
            [Score(**one) for one in held["scores"]],
            [Agreement(**one) for one in held["agreement"]],
            [Contrast(**one) for one in held["contrasts"]],
            [Correlation(**one) for one in held["correlations"]],
            held["notes"],
        )
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); `caref.ratings agree` writes it") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: not what `caref.ratings agree` wrote; run it again") from None


def grids(judgement: Judgement) -> list[Grid]:
    """All tables of a judgement that hold anything."""
    asked = list(dict.fromkeys(name for one in judgement.scores for name in one.reasons))
    found = [
        Grid(
            "Scores",
            "Mean of the items' mean ratings (yes 1, weak yes 2/3, weak no 1/3, no 0), standard error and 95% BCa "
            "bootstrap interval over items. A right answer without an explanation is shown to nobody and counts as no "
            "in all columns; unexplained tells how many. Each % is a mean over items too.",
            [
                *("dataset", "system", "items", "unexplained", "mean", "s.e.", "95% interval"),
                *("% yes", "% weak yes", "% weak no", "% no", *(f"% {name.replace('_', ' ')}" for name in asked)),
            ],
            [_score(one, asked) for one in judgement.scores],
            2,
        ),
        Grid(
            "Agreement",
            "Krippendorff's alpha (ordinal) with a 95% bootstrap interval over items; Fleiss' kappa (nominal) of the "
            "items that all rated; Cohen's kappa with quadratic weights, lowest and highest of the pairs of raters.",
            ["", "raters", "items", "ratings", "alpha", "95% interval", "Fleiss", "complete", "weighted kappa"],
            [_agreement(one) for one in judgement.agreement],
            1,
        ),
        Grid(
            "Differences",
            "Paired over inputs: mean difference with 95% BCa interval, two-sided Wilcoxon p (Pratt), corrected by "
            "Holm among cells and among comparisons with gold; beside it the difference in a linear mixed "
            "model with raters and inputs as blocks.",
            [
                "dataset",
                "",
                "against",
                "n",
                "difference",
                "95% interval",
                "p",
                "p (Holm)",
                "mixed",
                "s.e.",
                "p (mixed)",
            ],
            [_contrast(one) for one in judgement.contrasts],
            3,
        ),
        Grid(
            "Automatic scores against ratings",
            "Spearman's rho per item with a 95% bootstrap interval that draws inputs. All answers are right here, so "
            "an item's nBERT is its similarity to the gold explanations. Of the evidence: confidence in the answer; "
            "coupling of explanation and answer (nats); of the input's words that the explanation repeats, the share "
            "that an attribution names too.",
            ["dataset", "score", "items", "rho", "95% interval"],
            [
                [one.dataset, one.measure, str(one.n), _figure(one.rho), _range(one.low, one.high)]
                for one in judgement.correlations
            ],
            2,
        ),
    ]
    return [grid for grid in found if grid.body]


def _score(one: Score, asked: Sequence[str]) -> list[str]:
    reasons = [f"{one.reasons[name]:.0f}" if name in one.reasons else "" for name in asked]
    shares = [f"{share:.0f}" for share in one.shares]
    return [
        *(one.dataset, one.system, str(one.n), str(one.unexplained), f"{one.mean:.3f}", _figure(one.se)),
        *(_range(one.low, one.high), *shares, *reasons),
    ]


def _agreement(one: Agreement) -> list[str]:
    kappas = [kappa for *_, kappa in one.pairs if kappa is not None]
    span = f"{min(kappas):.3f} to {max(kappas):.3f}" if kappas else "–"
    return [
        *(one.panel, str(one.raters), str(one.items), str(one.ratings), _figure(one.alpha)),
        *(_range(one.low, one.high), _figure(one.fleiss), str(one.complete), span),
    ]


def _contrast(one: Contrast) -> list[str]:
    mixed = [f"{one.mixed:+.3f}", _figure(one.mixed_se), _p(one.mixed_p)] if one.mixed is not None else ["–", "", ""]
    p = [_p(one.p), _p(one.p_holm)] if one.p is not None else ["too few", ""]
    mean = f"{one.mean:+.3f}" if one.mean is not None else "–"
    return [one.dataset, one.left, one.right, str(one.n), mean, _range(one.low, one.high), *p, *mixed]


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _range(low: float | None, high: float | None) -> str:
    return "" if low is None or high is None else f"{low:.3f} to {high:.3f}"


def _p(value: float | None) -> str:
    return "" if value is None else "<0.001" if value < 0.001 else f"{value:.3f}"
