"""The name of a score in a file of evidence, taken apart."""

import pytest

from caref.results.evidence_names import named


@pytest.mark.parametrize(
    ("raw", "key", "attribution", "answer"),
    [
        ("calibration.ece", "calibration.ece", "", ""),
        ("erasure.all.flips", "erasure.all.flips", "", ""),
        ("erasure.attention_last.tau", "erasure.*.tau", "attention_last", ""),
        ("alignment.chance.f1", "alignment.chance.f1", "", ""),
        ("alignment.lime.f1.a. b", "alignment.*.f1.*", "lime", "a. b"),
        ("robustness.kept.0.01", "robustness.kept.0.01", "", ""),
        ("other.saliency.x", "other.*.x", "saliency", ""),
        ("other.something.x", "other.something.x", "", ""),
    ],
)
def test_names_are_taken_apart(raw, key, attribution, answer):
    found = named(raw, ["saliency"])
    assert (found.key, found.attribution, found.answer) == (key, attribution, answer)
