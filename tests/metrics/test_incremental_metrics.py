"""Checks the measures of phases on a table made by hand."""

import pytest

from ocm_tf.metrics import incremental_summary


def test_average_last_and_forgetting_of_a_table_made_by_hand():
    summary = incremental_summary([90.0, 70.0, 50.0], [90.0, 66.0, 42.0])
    assert summary == {"average": 70.0, "last": 50.0, "forgetting": 48.0}


@pytest.mark.parametrize("base", [[], [1.0]])
def test_every_phase_needs_both_values(base):
    with pytest.raises(ValueError, match="a value for each phase"):
        incremental_summary([1.0, 2.0] if base else [], base)
