"""SMaT (Fernandes et al. 2022): attention mixed by one weight a head, over all layers; what IvRA refines."""

from dataclasses import dataclass

from caref.errors import UserError
from caref.objectives.explained import Explained


@dataclass
class Smat(Explained):
    """The task's loss + lambda_criteria * each criterion of r, `explainers.HeadMixture`'s."""

    term: str = "smat"

    def explainer(self, sites, splits: int):
        from caref.objectives.explainers import HeadMixture

        if any(of.scale is None for of in sites.values()):
            raise UserError(
                "reg=smat: how this model comes from queries and keys to attention is not known; choose another model"
            )
        return HeadMixture(sites, splits, self.norm)
