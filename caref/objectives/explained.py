"""Objectives that also train attention to explain: what IvRA and SMaT have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, ClassVar

from caref.config.ranges import above, at_least, once
from caref.objectives.definition import Asking, Term
from caref.objectives.terms.sced import Sced

if TYPE_CHECKING:
    from torch import Tensor

_ONE_OF = {
    "scope": ("module", "joint"),
    "site": (None, "cross", "encoder", "both", "self"),
    "norm": ("softmax", "sparsemax"),
    "choosing": ("straight_through", "hard"),
    "erased": ("mask", "zero"),
    "sufficiency": ("margin", "mae", "kl"),
    "consistency": ("states", "cluster"),
    "alignment": ("vocabulary", "positions"),
}
_CRITERIA = ("sim", "comp", "suff", "cons")
_CHOOSE = ("comp", "suff")  # those that top words are chosen for
# What only some criteria read. An untrained module is none the wiser: it is the same whatever these are.
READ_BY = {
    **dict.fromkeys(("lambda_criteria", "module_lr", "module_decay"), _CRITERIA),
    **dict.fromkeys(("choosing", "slope", "erased"), _CHOOSE),
    **dict.fromkeys(("suff_margin", "sufficiency"), ("suff",)),
    **dict.fromkeys(("consistency", "alignment"), ("cons",)),
    **dict.fromkeys(("student_lr", "lambda_student"), ("sim",)),
    "comp_margin": ("comp",),
}


@dataclass
class Explained(Sced):
    """The task's loss (SCED's, whose weights are 0 here unless they are given) + criteria of an explanation r.

    r is a distribution over the tokens of an example's words, made by a module that is trained beside the model.
    """

    asks: ClassVar[bool] = True

    lambda_sced: float = 0.0
    lambda_kl: float = 0.0
    criteria: list[str] = field(default_factory=lambda: ["comp"])  # of sim, comp, suff, cons; []: r stays as it starts
    lambda_criteria: float = 1.0  # weight of each criterion
    scope: str = "module"  # module: criteria train the module alone, the model is what it is without; joint: both
    site: str | None = None  # cross, encoder, both; self of a decoder-only model; encoder, self of a classifier
    norm: str = "softmax"  # or sparsemax
    module_lr: float = 1e-2  # learning rate of the module; it follows the model's warm-up and decay
    module_decay: float = 0.0  # AdamW's weight decay of the module; one that is not trained has none
    choosing: str = "straight_through"  # the top words' gradient; hard: as printed, none reaches the module
    slope: float = 0.05  # of straight_through: how far below the last word chosen a word still learns, in r
    erased: str = "mask"  # an erased word's tokens have the mask token's embedding; zero: none, as printed
    comp_margin: float = 1.0
    suff_margin: float = 0.1
    sufficiency: str = "margin"  # or mae, kl
    consistency: str = "states"  # states alike, explained alike; cluster: predictions alike, explained alike
    alignment: str = "vocabulary"  # consistency compares scores by word; positions: by place, as printed
    student_lr: float = 5e-3  # of simulatability's student, which learns by plain SGD; SMaT's
    lambda_student: float = 5.0  # weight of the distance of explanations in the student's loss; SMaT's

    def __post_init__(self):
        super().__post_init__()
        at_least(0, comp_margin=self.comp_margin, suff_margin=self.suff_margin, lambda_student=self.lambda_student)
        at_least(0, module_decay=self.module_decay)
        above(0, lambda_criteria=self.lambda_criteria, module_lr=self.module_lr)
        above(0, slope=self.slope, student_lr=self.student_lr)
        for name, choices in _ONE_OF.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}={getattr(self, name)}: must be one of {', '.join(map(str, choices))}")
        if not set(self.criteria) <= set(_CRITERIA):
            raise ValueError(f"criteria={list(self.criteria)}: must be some of {', '.join(_CRITERIA)}")
        once(criteria=self.criteria)
        self.criteria = [name for name in _CRITERIA if name in self.criteria]  # however they were listed
        if self.scope == "module" and self.choosing == "hard" and set(_CHOOSE) & set(self.criteria):
            raise ValueError("choosing=hard: passes the module no gradient from comp and suff, and scope=module trains "
                             "nothing else by them; use straight_through or scope=joint")  # fmt: skip
        for name, usual in ((one.name, one.default) for one in fields(self) if one.name in READ_BY):
            if getattr(self, name) != usual and not set(READ_BY[name]) & set(self.criteria):
                told = f"{name}={getattr(self, name)}: criteria=[{','.join(self.criteria)}] do not read it"
                raise ValueError(f"{told}, {' or '.join(READ_BY[name])} would; leave it out")
        if self.choosing == "hard" and self.slope != Explained.slope:
            raise ValueError(f"slope={self.slope}: is straight_through's, and choosing=hard has none; leave it out")
        if self.sufficiency != "margin" and self.suff_margin != Explained.suff_margin:
            raise ValueError(f"suff_margin={self.suff_margin}: sufficiency={self.sufficiency} has none; leave it out")

    def erases(self) -> str | None:
        return self.erased if set(_CHOOSE) & set(self.criteria) else None

    def differentiates_twice(self) -> bool:
        return "sim" in self.criteria

    def why_alone(self) -> str | None:
        return "reg.criteria=sim: each has a student of its own" if "sim" in self.criteria else None

    def asked(self, questions: Asking) -> dict[str, Term]:
        criteria = {}
        if "sim" in self.criteria:
            with questions.frozen(True):  # SMaT's: simulatability moves the module, whatever the scope
                criteria["sim"] = questions.simulated(self.norm, self.student_lr, self.lambda_student)
        if set(self.criteria) - {"sim"}:
            with questions.frozen(self.scope == "module"):
                criteria |= self._criteria(questions)
        return {name: Term(values, self.lambda_criteria) for name, values in criteria.items()}

    def _criteria(self, asked: Asking) -> Mapping[str, "Tensor"]:
        """By name, (B,) each."""
        from caref.objectives import faithfulness

        answered = asked.read(states="cons" in self.criteria and self.consistency == "states")
        choice = answered.log_p.detach().argmax(-1)
        tokens = asked.explained(answered, choice)
        found = {}
        if {"comp", "suff"} & set(self.criteria):
            found = self._erasure(asked, answered.log_p, choice, asked.by_word(tokens))
        if "cons" in self.criteria:
            by = asked.by_type(tokens) if self.alignment == "vocabulary" else asked.by_word(tokens)
            found["cons"] = (
                faithfulness.clustering(by, choice, asked.splits)
                if self.consistency == "cluster"
                else faithfulness.consistency(by, answered.states, asked.splits)
            )
        return found

    def _erasure(self, asked: Asking, whole: "Tensor", choice: "Tensor", scores: "Tensor") -> dict[str, "Tensor"]:
        import torch

        from caref.objectives import faithfulness

        present = asked.words
        # Of short texts several thresholds are the same words, which are read once.
        counts, times = faithfulness.sizes(present.sum(-1)).unique(dim=1, return_counts=True)
        chosen = faithfulness.top(scores, present, counts)
        if self.choosing == "straight_through":
            chosen = faithfulness.straight_through(chosen, scores, self.slope) * present.unsqueeze(1)
        kept = {"comp": 1 - chosen, "suff": chosen}
        wanted = [name for name in kept if name in self.criteria]
        log_p = asked.log_p(torch.cat([kept[name] for name in wanted], dim=1), self.erased)
        of = dict(zip(wanted, log_p.split(counts.shape[1], dim=1), strict=True))
        losses = {}
        if "comp" in of:
            losses["comp"] = faithfulness.comprehensiveness(whole, of["comp"], choice, self.comp_margin)
        if "suff" in of:
            losses["suff"] = faithfulness.sufficiency(whole, of["suff"], choice, self.sufficiency, self.suff_margin)
        return {name: (loss * times).sum(-1) / times.sum() for name, loss in losses.items()}
