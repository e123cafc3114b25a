import numpy as np
import pytest

from streamdiff.model import Column
from streamdiff_measurement import Glint


@pytest.fixture
def nothing(observe):
    return observe(np.zeros(0), np.zeros(0), 0.0)


def row(angle, n=8, scatter=1.5, middle=(1000.0, 1000.0)):
    """Return points along a line, within 300 px of its middle; shape (2, n)."""
    rng = np.random.default_rng(4)
    along = np.linspace(-300, 300, n)
    direction = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    points = np.array(middle)[:, np.newaxis] + along * direction[:, np.newaxis]
    return points + rng.normal(0, scatter, points.shape)


def random_points(n, seed=0, side=4096):
    return np.random.default_rng(seed).uniform(0, side, (2, n))


@pytest.mark.parametrize("angle", [0, 45, 90, -45])
def test_glints_on_a_line_are_found(angle, nothing, sources_at):
    line, others = row(angle), random_points(20)
    beside = np.radians(angle + 90)
    distance = (others - 1000).T @ [np.cos(beside), np.sin(beside)]
    others = others[:, np.abs(distance) > 30]
    sources = sources_at(*np.concatenate([line, others], axis=1))
    flags = Glint().measure(sources, nothing)["glint_trail"]
    assert flags[:8].all()
    assert not flags[8:].any()


def test_two_lines_are_told_apart(nothing, sources_at):
    lines = [row(45), row(-45, middle=(2600.0, 2600.0))]
    sources = sources_at(*np.concatenate(lines, axis=1))
    assert Glint().measure(sources, nothing)["glint_trail"].all()


def test_lines_are_measured():
    # As LSST's test of its glint finder, E14: two lines, exact to a tenth of a pixel.
    lines = [row(45, scatter=0.1), row(-45, scatter=0.1, middle=(1000.0, 1600.0))]
    points = np.concatenate([*lines, random_points(20, side=2000)], axis=1).T
    found = sorted(Glint(radius=300).lines(points), key=lambda line: line.angle)
    assert [line.members.tolist() for line in found] == [
        list(range(8, 16)),
        list(range(8)),
    ]
    assert [line.length for line in found] == pytest.approx([600, 600], rel=1e-3)
    assert [line.angle for line in found] == pytest.approx([-45, 45], rel=2e-3)


def test_crossing_lines_are_two():
    lines = [row(20, n=9), row(-60, n=9)]
    found = Glint().lines(np.concatenate(lines, axis=1).T)
    # Both have a glint where they cross, at the same place: they are on either.
    assert [len(line.members) for line in found] == [10, 10]
    assert [line.angle for line in found] == pytest.approx([20, -60], abs=1)


@pytest.mark.parametrize("n", [6, 300, 1000])
def test_random_points_are_no_glints(n, nothing, sources_at):
    # One image in a hundred may have a line by chance: two of ten in 0.4 % of cases.
    flagged = [
        Glint().measure(sources_at(*random_points(n, seed)), nothing)["glint_trail"]
        for seed in range(10)
    ]
    assert np.sum([flags.any() for flags in flagged]) <= 1


def test_four_in_a_row_are_chance(nothing, sources_at):
    flags = Glint().measure(sources_at(*row(30, n=4)), nothing)["glint_trail"]
    assert not flags.any()


def test_negative_ones_and_dipoles_do_not_count(nothing, sources_at):
    line = row(45)
    sources = sources_at(*line)
    negative = sources_at(*line, negative=True)
    is_dipole = Column("isDipole", "?", "", "")
    dipoles = sources.with_columns([is_dipole], {"isDipole": np.ones(8, bool)})
    for table in (negative, dipoles):
        assert not Glint().measure(table, nothing)["glint_trail"].any()


def test_equal_positions_are_survived(nothing, sources_at):
    x = np.full(9, 50.0)
    assert len(Glint().measure(sources_at(x, x), nothing)["glint_trail"]) == 9
