"""AQ, AQKV and LAQ."""

from dataclasses import dataclass, field

from caref.config.ranges import once
from caref.models import modules
from caref.models.method import Sparse


@dataclass
class Projections(Sparse):
    """Chosen projections of attention, with or without the layer norms (AQKV, LAQ, AQ)."""

    method: str = "projections"
    projections: list[str] = field(default_factory=lambda: ["q"])  # of q, k, v, o
    norms: bool = False  # every layer-norm weight as well
    scope: str = "self"  # self: self-attention everywhere; decoder: the decoder's self- and cross-attention

    def __post_init__(self):
        if not self.projections or not {*self.projections} <= {*modules.PROJECTIONS}:
            raise ValueError(f"projections={list(self.projections)}: must be some of {', '.join(modules.PROJECTIONS)}")
        once(projections=self.projections)
        if self.scope not in modules.SCOPES:
            raise ValueError(f"scope={self.scope}: must be one of {', '.join(modules.SCOPES)}")

    def parameters(self, model) -> list[str]:
        chosen = modules.projections(model, self.projections, self.scope, f"peft ({self.name})")
        names = {f"{module}.{kind}" for module in chosen for kind in ("weight", "bias")}
        if self.norms:
            names |= {f"{module}.weight" for module in modules.norms(model)}
        return [name for name, _ in model.named_parameters() if name in names]
