"""Attention trained to explain: from the queries and keys of a model to one distribution over the words' tokens.

`InterpretableAttention` is IvRA's module (Xie et al. 2024) in two readings of its formulas, `HeadMixture` the coarser
one that it extends, SMaT's (Fernandes et al. 2022). Both hold the weights of K splits, (K, ...) each, and treat the
rows of a batch as K equal groups, one after the other. Queries and keys come from the projections, before any rotation
by position: a norm over features does not commute with it.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

NORMS = ("softmax", "sparsemax")
LEVELS = ("feature", "head", "layer")
_MASKED = -1e9  # the score of what is not ranked; finite, so that a row with nothing to rank has no NaN


@dataclass(frozen=True)
class Attention:
    """The attention of a site: `layers` of `heads` queries and `key_heads` keys, `width` features each.

    scale: what the model multiplies inner products of queries and keys by; None where it does not say.
    """

    layers: int
    heads: int
    key_heads: int
    width: int
    scale: float | None = 1.0


@dataclass(frozen=True)
class Heard:
    """What a site's projections gave for B rows.

    queries: (B, layers, heads, T', width).
    keys: (B, layers, key heads, T, width), a key a token of the prompt.
    asking: (B, T') bool, the queries that count; at least one in each row.
    """

    queries: Tensor
    keys: Tensor
    asking: Tensor

    def mean_query(self, normalised: Callable[[Tensor], Tensor] = lambda queries: queries) -> Tensor:
        """(B, layers, heads, width): mean over the queries that count, after a norm of each."""
        weights = self.asking.to(self.queries) / self.asking.sum(-1, keepdim=True)
        return torch.einsum("blhtd,bt->blhd", normalised(self.queries), weights)


def products(queries: Tensor, keys: Tensor) -> Tensor:
    """(B, layers, heads, T): inner products of a query a head with every key, each key head serving its own queries.

    Args:
        queries: (B, layers, heads, width).
        keys: (B, layers, key heads, T, width).
    """
    grouped = queries.unflatten(2, (keys.shape[2], -1))
    return torch.einsum("blkgd,blktd->blkgt", grouped, keys).flatten(2, 3)


def normalise(norm: str, scores: Tensor, dim: int = -1) -> Tensor:
    """Softmax or sparsemax (Martins and Astudillo 2016; entmax's) over a dimension. Differentiable twice."""
    if norm == "softmax":
        return scores.softmax(dim)
    from entmax import sparsemax

    return sparsemax(scores, dim)


def over_ranked(norm: str, scores: Tensor, ranked: Tensor) -> Tensor:
    """A distribution over the last dimension that is 0 where nothing is ranked; all 0 where nothing is at all.

    Args:
        ranked: bool, of a shape that broadcasts to the scores'.
    """
    return normalise(norm, scores.masked_fill(~ranked, _MASKED)) * ranked


class Explainer(nn.Module):
    """Holds weights of K splits and hands them to the rows of a batch.

    Attributes:
        weights: by name, (K, ...); those that are not learned stay at their start.
    """

    def __init__(self, splits: int):
        super().__init__()
        self.splits = splits
        self.weights = nn.ParameterDict()

    def hold(self, name: str, *shape: int, start: float, learned: bool = True) -> None:
        self.weights[name] = nn.Parameter(torch.full((self.splits, *shape), float(start)), requires_grad=learned)

    def of_rows(self, name: str, rows: int) -> Tensor:
        """(rows, ...): the weights that each row of a batch is treated with."""
        return self.weights[name].repeat_interleave(rows // self.splits, dim=0)

    @property
    def learned(self) -> dict[str, nn.Parameter]:
        return {name: weight for name, weight in self.weights.items() if weight.requires_grad}

    @property
    def count(self) -> int:
        """Learned weights of one split."""
        return sum(weight[0].numel() for weight in self.learned.values())


class InterpretableAttention(Explainer):
    """IvRA's module: weights of features, heads and layers.

    Queries and keys are multiplied by weights of their features and normed over the features; psi, (layers, heads, T),
    is the mean inner product of the queries that count with each key, in [0, 1]. Then, by `reading`:

    - mixture: s = sum_l b_l sum_h a_h psi_lh with a and b the normed weights of a layer's heads and of the layers, and
      r = norm(s / temperature) over the ranked tokens; the temperature is learned too.
    - joint: a norm of weighted psi over heads and tokens together, summed over heads; then one over layers and tokens
      together, summed over layers. It is the nearest to what is printed (a norm over heads alone, summed over heads,
      would be the same for every token). psi, which is nearly flat, is standardised over the ranked tokens first: else
      this neither starts nor learns.

    Args:
        sites: the attention of each site by its name; layers of all sites are weighed together.
        splits: K.
        norm: of NORMS.
        selection: of LEVELS, or `all`: whose weights are learned; the others stay at 1.
        temperature: at the start.
    """

    def __init__(
        self,
        sites: Mapping[str, Attention],
        splits: int = 1,
        norm: str = "softmax",
        selection: str = "all",
        reading: str = "mixture",
        temperature: float = 0.02,
    ):
        super().__init__(splits)
        self.norm, self.reading = norm, reading
        learned = {level: selection in (level, "all") for level in LEVELS}
        for site, of in sites.items():
            self.hold(f"{site}_queries", of.layers, of.heads, of.width, start=1, learned=learned["feature"])
            self.hold(f"{site}_keys", of.layers, of.key_heads, of.width, start=1, learned=learned["feature"])
            self.hold(f"{site}_heads", of.layers, of.heads, start=1, learned=learned["head"])
            self.hold(f"{site}_layers", of.layers, start=1, learned=learned["layer"])
        if reading == "mixture":
            self.hold("log_temperature", start=math.log(temperature))

    def forward(self, heard: Mapping[str, Heard], ranked: Tensor) -> Tensor:
        """(B, T): r, at least 0, with sum 1 over the ranked tokens of each row that has any.

        Args:
            heard: of each site.
            ranked: (B, T) bool, the tokens of words; neither padding nor template is among them.
        """
        if self.reading == "mixture":
            return over_ranked(self.norm, self.scores(heard), ranked)
        rows = len(ranked)
        mixed = [
            self._jointly(self.of_rows(f"{site}_heads", rows), self._inner_products(site, one), ranked)
            for site, one in heard.items()
        ]
        layers = self._layers(heard, rows).unsqueeze(1)
        return self._jointly(layers, torch.cat(mixed, dim=1).unsqueeze(1), ranked, standard=False).squeeze(1)

    def scores(self, heard: Mapping[str, Heard]) -> Tensor:
        """(B, T): of a mixture, what r is the norm of."""
        rows = len(next(iter(heard.values())).asking)
        mixed = [
            torch.einsum(
                "blh,blht->blt",
                normalise(self.norm, self.of_rows(f"{site}_heads", rows)),
                self._inner_products(site, one),
            )
            for site, one in heard.items()
        ]
        shares = normalise(self.norm, self._layers(heard, rows))
        scores = torch.einsum("bl,blt->bt", shares, torch.cat(mixed, dim=1))
        return scores / self.of_rows("log_temperature", rows).exp().unsqueeze(-1)

    def _layers(self, heard: Mapping[str, Heard], rows: int) -> Tensor:
        """(rows, layers of all sites): their weights."""
        return torch.cat([self.of_rows(f"{site}_layers", rows) for site in heard], dim=1)

    def _inner_products(self, site: str, heard: Heard) -> Tensor:
        def normed(side: str, values: Tensor) -> Tensor:
            return normalise(self.norm, values * self.of_rows(f"{site}_{side}", len(values)).unsqueeze(-2))

        query = heard.mean_query(lambda queries: normed("queries", queries))
        return products(query, normed("keys", heard.keys))

    def _jointly(self, weights: Tensor, values: Tensor, ranked: Tensor, standard: bool = True) -> Tensor:
        """(B, L, N, T) -> (B, L, T): a norm over N and T together, summed over N."""
        at = ranked[:, None, None]
        if standard:
            values = standardised(values, at)
        scores = weights.unsqueeze(-1) * values
        together = over_ranked(self.norm, scores.flatten(2), at.expand_as(scores).flatten(2))
        return together.view_as(scores).sum(2)


def standardised(values: Tensor, ranked: Tensor) -> Tensor:
    """Of mean 0 and deviation 1 over the ranked places of the last dimension; 0 where all are alike."""
    count = ranked.sum(-1, keepdim=True).clamp_min(1)
    centred = (values - (values * ranked).sum(-1, keepdim=True) / count) * ranked
    deviation = (centred.square().sum(-1, keepdim=True) / count).clamp_min(1e-24).sqrt()
    return centred / deviation


class HeadMixture(Explainer):
    """SMaT's module: one weight a head, over all layers together.

    Attention's logits, mean over the queries that count, are averaged by the sparsemax of the weights; r is their norm
    over the ranked tokens. The logits are scaled inner products of the projections: what a model adds for positions, or
    rotates by them, is in neither.

    Args:
        sites, splits, norm: as `InterpretableAttention`.
    """

    def __init__(self, sites: Mapping[str, Attention], splits: int = 1, norm: str = "softmax"):
        super().__init__(splits)
        self.norm, self._sites = norm, dict(sites)
        heads = sum(of.layers * of.heads for of in sites.values())
        self.hold("heads", heads, start=1 / heads)

    def forward(self, heard: Mapping[str, Heard], ranked: Tensor) -> Tensor:
        """(B, T), as `InterpretableAttention`'s."""
        return over_ranked(self.norm, self.scores(heard), ranked)

    def scores(self, heard: Mapping[str, Heard]) -> Tensor:
        """(B, T): what r is the norm of."""
        logits = [self._sites[site].scale * products(one.mean_query(), one.keys) for site, one in heard.items()]
        together = torch.cat([one.flatten(1, 2) for one in logits], dim=1)
        shares = normalise("sparsemax", self.of_rows("heads", len(together)))
        return torch.einsum("bn,bnt->bt", shares, together)


def by_word(r: Tensor, word_of: Tensor, words: int) -> Tensor:
    """(B, W): every word's score, the sum of its tokens'.

    Args:
        r: (B, T).
        word_of: (B, T) int64, which word a token belongs to; -1 for those of none.
        words: W.
    """
    summed = r.new_zeros(len(r), words + 1)
    return summed.scatter_add(1, word_of.where(word_of >= 0, words), r)[:, :words]
