"""Hours on other cards, bounded by data sheets."""

import re

import pytest

from caref.results import store
from caref.running import cards, forecast, jobs

NAMES = {
    "NVIDIA A40": 696,
    "NVIDIA A100-SXM4-40GB": 1555,
    "NVIDIA A100-SXM4-80GB": 2039,
    "NVIDIA A100 80GB PCIe": 1935,
    "NVIDIA H100 PCIe": 2000,
    "NVIDIA H100 80GB HBM3": 3350,
    "NVIDIA H100 NVL": 3900,
    "NVIDIA H200": 4800,
}
SLICES = ("NVIDIA A100-SXM4-80GB MIG 3g.40gb", "NVIDIA H100 80GB HBM3 MIG 1g.10gb")


@pytest.mark.parametrize(("name", "memory"), NAMES.items())
def test_a_card_is_known_by_its_drivers_name(name, memory):
    assert cards.known(name).memory == memory


@pytest.mark.parametrize(
    "name", ("cpu, 2 threads", "NVIDIA RTX A4000", "NVIDIA A10", "Tesla V100-SXM2-16GB", "", *SLICES)
)
def test_another_device_is_not_taken_for_one(name):
    assert cards.known(name) is None


def test_any_mixture_of_arithmetic_memory_and_launches_lies_between_the_bounds():
    for measured in cards.PLANNED.values():
        for other in cards.PLANNED.values():
            for precision in cards.PRECISIONS:
                low, high = cards.bounds(measured, other, precision)
                arithmetic = getattr(measured, precision) / getattr(other, precision)
                memory = measured.memory / other.memory
                for parts in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0.2, 0.3, 0.5), (0.6, 0.4, 0)):
                    there = parts[0] * arithmetic + parts[1] * memory + parts[2]
                    assert low - 1e-12 <= there <= high + 1e-12
    a40, a100 = cards.PLANNED["A40"], cards.PLANNED["A100 80 GB"]
    assert cards.bounds(a40, a40, "bfloat16") == (1, 1)
    assert cards.bounds(a40, a100, "bfloat16") == (pytest.approx(696 / 2039), 1)
    assert cards.bounds(a40, a100, "float32")[1] == pytest.approx(37.4 / 19.5)  # an A100 has fewer units of float32


@pytest.fixture
def timed_on(composed, tmp_path):
    """A function: what a dry run says last where one of two splits took an hour on this device, in this precision."""

    def told(device: str, precision: str) -> str:
        lines = ("model=tiny_t5", "source=demo", "train.epochs=1", "dataset.eval_size=3", f"results_dir={tmp_path}")
        planned = jobs.plan(composed(*lines, "splits=0:2", "evaluation.max_new_tokens=2"))
        if not store.finished(planned.cell):
            jobs.run(composed(*lines, "splits=0", "evaluation.max_new_tokens=2"))
        record = store.read_record(planned.cell, 0)
        record["run"] |= {"device": device, "precision": precision, "seconds": {"training": 3600.0}}
        store.write_split(planned.cell, planned.description, record, store.read_predictions(planned.cell, 0))
        return forecast.told([planned]).splitlines()[-1]

    return told


def test_a_dry_run_tells_hours_on_other_cards_where_its_own_is_known(timed_on):
    told = timed_on("NVIDIA A40", "bfloat16")
    assert "1 left, about 1.0 hours of one device, as timed on NVIDIA A40; by data sheets " in told
    assert told.endswith(
        "by data sheets 0.3 to 1.0 on an A100 80 GB, 0.2 to 1.0 on an H100"
    )  # 696 of 2039, 149.7 of 989
    assert "on an A40" in timed_on("NVIDIA H200", "float32")
    for device, precision in (("cpu, 2 threads", "float32"), ("NVIDIA A40", "None")):
        assert not re.search("data sheet", timed_on(device, precision))
