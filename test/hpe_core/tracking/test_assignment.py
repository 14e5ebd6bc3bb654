import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from hpe_core.tracking.assignment import cheapest_pairs


def test_a_pairing_by_hand():
    assert cheapest_pairs([[1.0, 2.0], [1.0, 5.0]]) == [(0, 1), (1, 0)]
    assert cheapest_pairs([[4.0, 1.0, 3.0]]) == [(0, 1)]
    assert cheapest_pairs([[4.0], [1.0], [3.0]]) == [(1, 0)]


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 8), (8, 3), (8, 8), (12, 9), (64, 64), (40, 64)])
def test_the_sum_is_that_of_scipy(shape):
    rng = np.random.default_rng(0)
    for number in range(200 if max(shape) < 20 else 20):
        cost = rng.random(shape)
        if number % 2:
            cost = np.where(rng.random(shape) < 0.5, 1e3, cost.round(1))  # forbidden pairs and ties
        pairs = cheapest_pairs(cost)
        assert len(pairs) == min(shape) == len({r for r, _ in pairs}) == len({c for _, c in pairs})
        assert sum(cost[pair] for pair in pairs) == pytest.approx(cost[linear_sum_assignment(cost)].sum())


def test_without_rows_or_columns_there_are_no_pairs():
    assert cheapest_pairs(np.zeros((0, 3))) == [] and cheapest_pairs(np.zeros((3, 0))) == []


def test_the_inference_path_does_not_import_scipy():
    code = "import sys, hpe_core.pipeline.pipeline, hpe_core.networks.crop.crop6dof; print('scipy' in sys.modules)"
    root = Path(__file__).parents[3]
    assert subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True).stdout == "False\n"
