"""What was changed, lost and new in sets of alerts made by hand."""

import copy
import json

import pytest

from streamdiff.app.alerts.comparison import Rules, compare
from streamdiff.app.alerts.fields import Group
from streamdiff.app.alerts.reading import VisitDetector
from streamdiff.app.alerts.tolerances import Tolerance
from streamdiff.errors import ConfigError


def with_field(record, field, value):
    """Return a copy of an alert in which a field has another value."""
    changed = copy.deepcopy(record)
    *parents, name = field.split(".")
    owner = changed
    for parent in parents:
        owner = owner[parent]
    owner[name] = value
    return changed


def scaled(record, factor):
    return with_field(
        record, "diaSource.psfFlux", record["diaSource"]["psfFlux"] * factor
    )


def tolerating(*texts, **rules):
    return Rules(tolerances=tuple(map(Tolerance.parse, texts)), **rules)


def test_the_same_alerts_are_identical(alerts, side):
    found = compare(side(*alerts), side(*alerts))
    assert found.is_same
    assert found.counts.n_identical == found.counts.n_a == found.counts.n_b == 12
    assert not any(found.fields.values())
    assert found.completeness.p_value == 1


def test_no_alerts_at_all_are_the_same(side):
    found = compare(side(), side())
    assert found.is_same
    assert found.counts.n_either == 0


def test_the_order_of_alerts_does_not_matter(alerts, side):
    changed = [scaled(r, 1.1) for r in alerts[1:]]
    first = compare(side(*alerts), side(*changed))
    again = compare(side(*alerts[::-1]), side(*changed[1::2], *changed[::2]))
    assert again.as_json() == first.as_json()


def test_a_scaled_flux_is_named_with_its_factor(alerts, side):
    touched = alerts[:4]
    found = compare(
        side(*alerts), side(*(scaled(r, 1.01) for r in touched), *alerts[4:])
    )
    assert [c.a.dia_source_id for c in found.changed] == [
        r["diaSourceId"] for r in touched
    ]
    assert {c.fields for c in found.changed} == {("diaSource.psfFlux",)}
    (flux,) = found.fields[Group.MEASURED]
    assert flux.n_changed == 4
    assert flux.n_compared == 12
    assert flux.median_ratio == pytest.approx(1.01)
    # the brightest of the four: 1 % of 1020, in errors of 100
    assert flux.max_sigma == pytest.approx(0.102)
    assert flux.worst.id_a == touched[2]["diaSourceId"]
    assert (flux.worst.a, flux.worst.b) == (1020, pytest.approx(1030.2))


def test_lost_and_new_alerts_are_named(alerts, alert, side):
    extra = alert(9, visit=8, detector=1)
    found = compare(side(*alerts), side(*alerts[1:], extra))
    assert [name.dia_source_id for name in found.lost] == [alerts[0]["diaSourceId"]]
    assert [name.dia_source_id for name in found.new] == [extra["diaSourceId"]]
    assert not found.changed
    assert not found.is_same
    assert found.exposures[VisitDetector(7, 0)].n_lost == 1
    assert found.exposures[VisitDetector(8, 1)].n_new == 1


def test_alerts_on_other_detectors_are_not_the_same(alert, side):
    found = compare(
        side(alert(0, detector=1), alert(5, detector=2)),
        side(alert(0, detector=2), alert(5, detector=1)),
    )
    assert found.counts.n_lost == found.counts.n_new == 2


def test_a_moved_alert_is_one_within_the_radius(alert, side):
    a, b = side(alert(0)), side(alert(0, shift=1.5))
    assert compare(a, b).counts.n_lost == 1
    found = compare(a, b, Rules(radius_arcsec=2))
    assert [c.fields for c in found.changed] == [("diaSource.ra",)]


def test_the_nearest_match_first(alert, side):
    found = compare(
        side(alert(0, diaSourceId=11), alert(0, diaSourceId=12, shift=0.9)),
        side(alert(0, diaSourceId=21, shift=0.8), alert(0, diaSourceId=22, shift=-0.5)),
        Rules(radius_arcsec=1),
    )
    partners = {c.a.dia_source_id: c.b.dia_source_id for c in found.changed}
    assert partners == {12: 21, 11: 22}


def test_ids_that_move_up_are_no_change(alert, side):
    """A fainter threshold adds DiaSources, and shifts the ranks of all others."""
    found = compare(
        side(alert(1, diaSourceId=100), alert(2, diaSourceId=101)),
        side(*(alert(rank, diaSourceId=100 + rank) for rank in range(3))),
    )
    assert found.counts.n_identical == 2
    assert found.counts.n_new == 1


def test_other_ids_of_the_same_alerts_are_a_change(alert, side):
    found = compare(side(alert(1, diaSourceId=100)), side(alert(1, diaSourceId=101)))
    assert found.counts.n_changed == 1
    assert {d.field for d in found.fields[Group.RANKED]} == {
        "diaSourceId",
        "diaSource.diaSourceId",
    }


def test_another_configuration_is_told_but_no_change(alert, side):
    found = compare(side(alert()), side(alert(config_hash="decade")))
    assert found.is_same
    (hash_,) = found.fields[Group.PROVENANCE]
    assert (hash_.worst.a, hash_.worst.b) == ("c0ffee", "decade")


def test_another_unit_is_a_change(alert, side):
    calibrated = alert()
    found = compare(
        side(calibrated), side(with_field(calibrated, "provenance.flux_unit", "adu"))
    )
    assert found.counts.n_changed == 1


def test_times_of_processing_are_left_out(alert, side):
    times = "diaSource.timeProcessedMjdTai"
    a, b = (with_field(alert(), times, value) for value in (61000.5, 61000.6))
    found = compare(side(a), side(b))
    assert found.is_same
    assert not any(found.fields.values())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("diaSource.diaObjectId", 12),
        ("prvDiaSources", [{"diaSourceId": 1}]),
        ("diaObject", {"diaObjectId": 5, "ra": 1.0}),
    ],
)
def test_live_order_is_compared_separately(alert, side, field, value):
    a, b = side(alert()), side(with_field(alert(), field, value))
    found = compare(a, b)
    assert found.is_same
    assert all(d.field.startswith(field) for d in found.fields[Group.LIVE_ORDER])
    assert found.fields[Group.LIVE_ORDER]
    assert not compare(a, b, Rules(live_order_counts=True)).is_same


def test_a_single_bit_of_a_cutout_is_a_change(alert, side):
    record = alert()
    cutout = bytearray(record["cutoutScience"])
    cutout[4000] ^= 1
    other = with_field(record, "cutoutScience", bytes(cutout))
    found = compare(side(record), side(other))
    assert [c.fields for c in found.changed] == [("cutoutScience",)]
    assert compare(side(record), side(other), Rules(ignored=("cutout*",))).is_same


@pytest.mark.parametrize(
    ("tolerance", "n_changed"),
    [
        ("psfFlux=10.5abs", 0),
        ("psfFlux=9.5abs", 1),
        ("psfFlux=0.0101rel", 0),
        ("psfFlux=0.0099rel", 1),
        ("psfFlux=0.11sigma", 0),
        ("psfFlux=0.09sigma", 1),
        ("*Flux=0.11sigma", 0),
        ("diaSource.psfFlux=11abs", 0),
        ("apFlux=11abs", 1),
    ],
)
def test_a_difference_counts_beyond_its_tolerance(alert, side, tolerance, n_changed):
    a, b = alert(psfFlux=1000.0), alert(psfFlux=1010.0)
    found = compare(side(a), side(b), tolerating(tolerance))
    assert found.counts.n_changed == n_changed


def test_the_wider_of_two_tolerances_counts(alert, side):
    a, b = alert(psfFlux=1.0), alert(psfFlux=2.0)
    rules = tolerating("psfFlux=0.01rel", "psfFlux=1abs")
    assert compare(side(a), side(b), rules).is_same


def test_a_value_on_one_side_only_is_never_tolerated(alert, side):
    found = compare(
        side(alert(apFlux=1.0)), side(alert(apFlux=None)), tolerating("apFlux=99abs")
    )
    (flux,) = found.fields[Group.MEASURED]
    assert flux.n_one_sided == flux.n_changed == 1
    assert (flux.worst.a, flux.worst.b, flux.max_absolute) == (1, None, None)


def test_a_field_that_one_side_does_not_know_is_missing_there(alert, side):
    a, b = alert(apFlux=1.0), alert(apFlux=1.0)
    del b["diaSource"]["apFlux"]
    del b["diaSource"]["dipoleChi2"]  # null in A
    found = compare(side(a), side(b))
    assert [c.fields for c in found.changed] == [("diaSource.apFlux",)]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_of_others_that_are_no_numbers_are_told_as_text(alert, side, value):
    """Alerts here have null instead; those of others may not."""
    a = with_field(alert(), "diaSource.apFlux", value)
    b = with_field(alert(), "diaSource.apFlux", -value)
    c = with_field(with_field(alert(), "diaSource.apFlux", 1.0), "diaSource.snr", value)
    assert compare(side(a), side(a)).is_same
    assert compare(side(a), side(b)).is_same == (value != value)  # noqa: PLR0124
    stated = compare(side(a), side(c)).as_json()
    json.dumps(stated, allow_nan=False)
    worst = {d["field"]: d["worst"] for d in stated["fields"]["measured"]}
    assert worst["diaSource.apFlux"]["a"] == str(value)


def test_right_ascensions_meet_at_zero(alert, side):
    a, b = alert(ra=359.99999, raErr=1e-4), alert(ra=0.00001, raErr=1e-4)
    (ra,) = compare(side(a), side(b)).fields[Group.MEASURED]
    assert ra.max_absolute == pytest.approx(2e-5)
    assert compare(side(a), side(b), tolerating("ra=0.3sigma")).is_same


@pytest.mark.parametrize(
    ("tolerance", "message"),
    [
        ("psfFluxx=1abs", "did you mean psfFlux"),
        ("band=1abs", "band is no number"),
        ("isNegative=1abs", "isNegative is no number"),
        ("snr=1sigma", "no diaSource.snrErr"),
    ],
)
def test_a_tolerance_that_can_not_be_meant_is_refused(alert, side, tolerance, message):
    with pytest.raises(ConfigError, match=message):
        compare(side(alert()), side(alert()), tolerating(tolerance))


@pytest.mark.parametrize("radius", [0, -1, 61, float("nan")])
def test_a_radius_out_of_range_is_refused(radius):
    with pytest.raises(ConfigError, match="radius"):
        Rules(radius_arcsec=radius)


def test_a_visit_of_one_side_only_is_told_apart(alert, side):
    found = compare(
        side(alert(visit=7), alert(visit=8)),
        side(alert(visit=8), alert(0, visit=9), alert(1, visit=9)),
    )
    assert found.only_a == {VisitDetector(7, 3): 1}
    assert found.only_b == {VisitDetector(9, 3): 2}
    assert found.counts.n_lost == found.counts.n_new == 0
    assert found.counts.n_identical == 1
    assert not found.is_same


def test_alerts_of_a_visit_that_was_processed_without_any_are_lost(alert, side):
    silent = side(processed=[VisitDetector(7, 3)])
    found = compare(side(alert(visit=7)), silent)
    assert found.counts.n_lost == 1
    assert not found.only_a


def test_a_repeated_alert_counts_once(alert, side):
    found = compare(side(alert(), alert(), alert()), side(alert()))
    assert found.is_same
    assert found.repeated_a == 2


def test_a_second_alert_that_contradicts_the_first_is_not_hidden(alert, side):
    found = compare(side(alert(), alert(psfFlux=5.0)), side(alert()))
    assert found.counts.n_identical == 1
    assert found.counts.n_lost == 1


def test_a_loss_without_gain_is_significant(alert, side):
    """Ten lost and none new, by chance: twice 2^-10."""
    many = [alert(rank) for rank in range(30)]
    found = compare(side(*many), side(*many[10:]))
    assert found.completeness.p_value == pytest.approx(2 / 2**10)
    assert found.completeness.share_a == 1
    assert found.completeness.share_b == pytest.approx(2 / 3)


def test_as_many_new_as_lost_is_not_significant(alert, side):
    many = [alert(rank) for rank in range(30)]
    found = compare(side(*many[:20]), side(*many[10:]))
    assert found.completeness.p_value == pytest.approx(1)


def test_a_comparison_is_json(alerts, side):
    found = compare(side(*alerts), side(*(scaled(r, 1.01) for r in alerts[2:])))
    stated = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert stated["counts"] == {
        "a": 12, "b": 10, "identical": 0, "changed": 10, "lost": 2, "new": 0,
    }  # fmt: skip
    assert stated["fields"]["measured"][0]["field"] == "diaSource.psfFlux"
    assert stated["fields"]["measured"][0]["worst"]["visit"] == 7
    assert stated["lost"][0]["visit"] == 7
