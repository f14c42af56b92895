"""IvRA (Xie et al. 2024): attention at feature, head and layer level, trained for what makes it faithful."""

from dataclasses import dataclass

from caref.config.ranges import above
from caref.objectives.explained import Explained


@dataclass
class Ivra(Explained):
    """The task's loss + lambda_criteria * each criterion of r, `explainers.InterpretableAttention`'s."""

    term: str = "ivra"
    selection: str = "all"  # which weights are learned: feature, head, layer, or all
    reading: str = "mixture"  # heads and layers mixed by normed weights; joint: norms over heads or layers and tokens
    temperature: float = 0.02  # of a mixture's norm over tokens, at the start; learned

    def __post_init__(self):
        super().__post_init__()
        above(0, temperature=self.temperature)
        for name, choices in (("selection", ("feature", "head", "layer", "all")), ("reading", ("mixture", "joint"))):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}={getattr(self, name)}: must be one of {', '.join(choices)}")
        if self.reading == "joint" and self.temperature != Ivra.temperature:
            raise ValueError(f"temperature={self.temperature}: is reading=mixture's, joint has none; leave it out")
        if self.reading == "joint" and "sim" in self.criteria:
            raise ValueError("reading=joint: has no scores that a student could learn, which criteria=[sim] needs")

    def explainer(self, sites, splits: int):
        from caref.objectives.explainers import InterpretableAttention

        return InterpretableAttention(sites, splits, self.norm, self.selection, self.reading, self.temperature)
