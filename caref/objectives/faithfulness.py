"""Losses that make an explanation faithful: erasure, consistency and simulatability of a distribution over words.

Everything is finite, for sparsemax's zeros too. B examples of W words and C choices; V sets of words an example.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

PERCENT = (1, 5, 10, 20, 50)  # of the words; ERASER's thresholds, on all of which UNIREX trains


def sizes(words: Tensor, percent: Sequence[int] = PERCENT) -> Tensor:
    """(B, thresholds) int64: n_k = max(1, round(k L / 100)), halves to even; 0 of no words.

    Args:
        words: (B,), L of each example.
    """
    shares = torch.tensor(percent, dtype=torch.float64, device=words.device) * words.double().unsqueeze(-1) / 100
    return shares.round().long().clamp_min(1).minimum(words.unsqueeze(-1))


def top(scores: Tensor, present: Tensor, counts: Tensor) -> Tensor:
    """(B, V, W), 1.0 at each example's highest-scoring words, as many as a count says; ties by position.

    Args:
        scores: (B, W).
        present: (B, W) bool; what is no word is never chosen.
        counts: (B, V), at most the words there are.
    """
    order = scores.masked_fill(~present, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    rank = order.argsort(dim=-1)
    return (rank.unsqueeze(1) < counts.unsqueeze(-1)).to(scores)


def straight_through(chosen: Tensor, scores: Tensor, slope: float) -> Tensor:
    """The hard choice in value, with the gradient of sigmoid((r - r_k) / slope), r_k the lowest score that is chosen.

    Args:
        chosen: (B, V, W), of `top`.
        scores: (B, W).
        slope: above 0: how far from r_k, in scores, a word still learns.
    """
    lowest = scores.detach().unsqueeze(1).masked_fill(chosen == 0, torch.inf).amin(-1, keepdim=True)
    soft = torch.sigmoid((scores.unsqueeze(1) - lowest) / slope)
    return chosen + (soft - soft.detach())


def cross_entropy(log_p: Tensor, choice: Tensor) -> Tensor:
    """(B, ...): -log p of each example's choice.

    Args:
        log_p: (B, ..., C), normalised over the choices.
        choice: (B,) int64.
    """
    return -log_p.gather(-1, choice.view(-1, *[1] * (log_p.dim() - 1)).expand(*log_p.shape[:-1], 1)).squeeze(-1)


def comprehensiveness(whole: Tensor, without: Tensor, choice: Tensor, margin: float) -> Tensor:
    """(B, V): margin + max(-margin, CE(x) - CE(x without the words)); at least 0, and 0 once the margin is reached.

    Args:
        whole: (B, C) log-probabilities of the whole text.
        without: (B, V, C), of the text without each set of words.
        choice: (B,), the predicted one.
    """
    return margin + (cross_entropy(whole, choice).unsqueeze(1) - cross_entropy(without, choice)).clamp_min(-margin)


def sufficiency(whole: Tensor, alone: Tensor, choice: Tensor, form: str = "margin", margin: float = 0.1) -> Tensor:
    """(B, V): how much is lost where only these words are there; at least 0.

    Args:
        alone: (B, V, C), of each set of words alone.
        form: `margin`, margin + max(-margin, CE(words) - CE(x)); `mae`, |CE(words) - CE(x)|; `kl`, KL(words || x) over
            the choices.
    """
    if form == "kl":
        return (alone.exp() * (alone - whole.unsqueeze(1))).sum(-1)
    lost = cross_entropy(alone, choice) - cross_entropy(whole, choice).unsqueeze(1)
    return lost.abs() if form == "mae" else margin + lost.clamp_min(-margin)


def jensen_shannon(one: Tensor, other: Tensor) -> Tensor:
    """(...): of two distributions over the last dimension, in [0, log 2]; finite, and so is its gradient, at zeros."""
    middle = (one + other) / 2
    return (_towards(one, middle) + _towards(other, middle)) / 2


def _towards(p: Tensor, middle: Tensor) -> Tensor:
    held = p > 0  # where p is 0 its term is 0, and sparsemax passes no gradient on
    ratio = torch.where(held, p, 1.0) / torch.where(held, middle, 1.0)
    return torch.where(held, p * ratio.log(), 0.0).sum(-1)


def consistency(r: Tensor, states: Tensor, groups: int = 1, eps: float = 1e-3) -> Tensor:
    """(B,): of each example its group's mean over pairs of JS(r_i, r_j) / (|H_i - H_j| + eps); 0 of a group of one.

    Examples that the model represents alike are to be explained alike.

    Args:
        r: (B, N), distributions over what all of them share: places, or words of a vocabulary.
        states: (B, D), an example's hidden states, mean over its tokens.
    """
    r, states = (values.unflatten(0, (groups, -1)) for values in (r, states))
    first, second = torch.triu_indices(r.shape[1], r.shape[1], offset=1, device=r.device)
    if not len(first):
        return r.sum(2).flatten() * 0
    apart = (states[:, first] - states[:, second]).square().sum(-1).clamp_min(1e-24).sqrt()
    mean = (jensen_shannon(r[:, first], r[:, second]) / (apart + eps)).mean(-1, keepdim=True)
    return mean.expand(-1, r.shape[1]).flatten()


def clustering(r: Tensor, choice: Tensor, groups: int = 1) -> Tensor:
    """(B,): mean of |r_i - r_j|^2 over the others of the same predicted choice, less that over those of other choices.

    In [-2, 2]; where there are none of a kind that mean is 0.

    Args:
        r: (B, N), as `consistency`'s.
        choice: (B,), the predicted ones.
    """
    r, choice = r.unflatten(0, (groups, -1)), choice.unflatten(0, (groups, -1))
    apart = (r.unsqueeze(2) - r.unsqueeze(1)).square().sum(-1)
    alike = choice.unsqueeze(2) == choice.unsqueeze(1)
    others = ~torch.eye(r.shape[1], dtype=torch.bool, device=r.device)
    means = [(apart * of).sum(-1) / of.sum(-1).clamp_min(1) for of in (alike & others, ~alike)]
    return (means[0] - means[1]).flatten()


def explained_apart(norm: str, student: Tensor, teacher: Tensor, present: Tensor) -> Tensor:
    """(B,): how far a student's explanation is from its teacher's, finite where the teacher's is 0.

    Of softmax KL(teacher || student); of sparsemax its Fenchel-Young loss (Martins and Astudillo 2016), whose gradient
    by the student's scores is the student's distribution less the teacher's; both 0 where the two are equal.

    Args:
        student: (B, T), the scores of which the student's distribution is the norm.
        teacher: (B, T), a distribution.
        present: (B, T) bool, what is ranked.
    """
    scores = student.masked_fill(~present, -1e9)
    held = teacher > 0
    if norm == "softmax":
        log_ratio = torch.where(held, teacher, 1.0).log() - scores.log_softmax(-1)
        return torch.where(held, teacher * log_ratio, 0.0).sum(-1)
    from entmax import sparsemax

    own = sparsemax(scores, -1)
    at = torch.where(present, student, 0.0)
    return ((own - teacher) * at).sum(-1) + (teacher.square().sum(-1) - own.square().sum(-1)) / 2


def piloted(student: Mapping[str, Tensor], loss: Tensor, rate: float, create_graph: bool = True) -> dict[str, Tensor]:
    """A student after one step of SGD on a loss, as a function of whatever the loss depends on (Zhou et al. 2021).

    Args:
        student: its weights by name; those on which the loss does not depend stay.
        create_graph: False for a step that is not differentiated.

    Raises:
        RuntimeError: something in the loss has no second derivative, such as a fused attention.
    """
    own = list(student.values())
    gradients = torch.autograd.grad(loss, own, create_graph=create_graph, allow_unused=True)
    steps = (0 if gradient is None else rate * gradient for gradient in gradients)
    return {name: weight - step for (name, weight), step in zip(student.items(), steps, strict=True)}
