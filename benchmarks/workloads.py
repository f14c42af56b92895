"""What the benchmarks of cells run: two models in true shape that need no hub, and one for a GPU; all on real data."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from figures import data_root
from hydra import compose, initialize_config_dir

from caref import composition

if TYPE_CHECKING:
    from omegaconf import DictConfig

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Workload:
    """A model with its tokenizer and data, as a line of `run.py` and in words."""

    model: str
    told: str
    line: tuple[str, ...]
    least: float  # how many times as fast as the conventional script a cell of 8 splits has to be

    def job(self, *more: str, peft: str = "aq") -> "DictConfig":
        """The composed job of this workload and further overrides."""
        composition.register()
        with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
            return compose("config", [*self.overrides(peft), *more])

    def overrides(self, peft: str = "aq") -> Sequence[str]:
        root = [f"source.root={data_root()}"] if "source=files" in self.line else []
        return [f"model={self.model}", f"peft={peft}", *self.line, "bertscore=minilm", *root]


_ESNLI = ("dataset=esnli", "source=files")
_ECQA = ("dataset=ecqa", "source=files")
T5_SMALL = Workload(
    "flan_t5_small_random",
    "Flan-T5-small's shape, random weights; SmolLM2's tokenizer; e-SNLI",
    (*_ESNLI, "train.precision=fp32"),
    least=5,
)
SMOLLM2 = Workload(
    "smollm2_135m", "SmolLM2-135M, pretrained, its tokenizer; e-SNLI", (*_ESNLI, "train.precision=fp32"), least=3
)
T5_LARGE = Workload(
    "flan_t5_large_random",
    "Flan-T5-large's shape, random weights; byte tokenizer; ECQA",
    (*_ECQA, "train.precision=bf16"),
    least=10,
)
ON_CPU, ON_GPU = (T5_SMALL, SMOLLM2), (T5_LARGE,)
BY_MODEL = {workload.model: workload for workload in (*ON_CPU, *ON_GPU)}
