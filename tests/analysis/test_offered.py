"""Which choices kept probabilities are of."""

import pytest

from caref.analysis.offered import offered

PREDICTION = {"choices": ["bank", "library", "Bank ", "mall"], "gold": "bank"}


def test_of_what_is_offered_twice_there_is_one_probability_and_of_before_two():
    assert offered({"log_p": [-1.0, -2.0, -3.0]}, PREDICTION) == (["bank", "library", "mall"], 0)
    assert offered({"log_p": [-1.0, -2.0, -1.0, -3.0]}, PREDICTION) == (PREDICTION["choices"], 0)
    assert offered({"log_p": [-1.0, -2.0, -3.0]}, PREDICTION | {"gold": "mall"})[1] == 2


def test_other_choices_than_a_predictions_are_refused():
    with pytest.raises(ValueError, match="2 probabilities of 3 choices"):
        offered({"log_p": [-1.0, -2.0]}, PREDICTION)
    with pytest.raises(ValueError):
        offered({"log_p": [-1.0, -2.0, -3.0]}, PREDICTION | {"gold": "dam"})
