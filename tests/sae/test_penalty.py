"""The penalty that gives an L0 is found where it is known."""

import math

import pytest

from mazewm.sae.penalty import STEP, penalty_for


def by_law(power, at_one, tried):
    """L0 as a power of the penalty; each penalty that is tried is written down."""

    def l0_of(penalty):
        tried.append(penalty)
        return at_one * penalty**-power

    return l0_of


@pytest.mark.parametrize("wanted", [0.3, 7.0, 100.0])
def test_a_power_is_found_once_it_is_enclosed(wanted):
    tried = []
    found = penalty_for(by_law(1.7, 9.0, tried), wanted, 8)
    assert found == pytest.approx((9 / wanted) ** (1 / 1.7), rel=1e-3)
    assert len(tried) == 8


def test_steps_go_towards_the_wanted_number():
    up, down = [], []
    penalty_for(by_law(1, 1.0, up), 1 / 3000.0, 4)
    penalty_for(by_law(1, 1.0, down), 3000.0, 4)
    assert up == [1, STEP, STEP**2, STEP**3]
    assert down == [1, 1 / STEP, 1 / STEP**2, 1 / STEP**3]


def test_what_bends_is_found_nearly():
    """L0 that falls faster and faster, and reaches zero: no power of the penalty."""
    found = penalty_for(lambda penalty: max(0.0, 100 * math.exp(-penalty) - 5), 20.0, 9)
    assert found == pytest.approx(math.log(4), rel=0.02)


def test_the_nearest_of_those_tried_is_taken():
    """The last try is not the nearest, as L0 jumps over the wanted number."""
    tried = {}

    def l0_of(penalty):
        tried[penalty] = 11.0 if penalty < 2 else 1.0
        return tried[penalty]

    assert penalty_for(l0_of, 10.0, 2) == 1 and tried == {1.0: 11.0, STEP: 1.0}


def test_one_try_is_the_first_penalty():
    assert penalty_for(lambda penalty: 5.0, 50.0, 1) == 1
