import numpy as np

from streamdiff.pipeline.association.names import new_ids

NOWHERE = np.zeros(0, np.int64)


def names(catalogue, event, ra, dec):
    with catalogue.session(event, NOWHERE) as session:
        return new_ids(session, np.asarray(ra, float), np.asarray(dec, float)).tolist()


def test_positions_that_can_not_be_told_apart_get_different_names(catalogue, found):
    event = found().event
    alone = names(catalogue, event, [10], [0])
    assert names(catalogue, event, [10, 10, 10], [0, 0, 0]) == [
        alone[0],
        alone[0] + 1,
        alone[0] + 2,
    ]


def test_a_name_that_is_in_use_is_not_given_again(association, found, run):
    (used,) = run(association, found((0, 0), visit=1)).dia_object_ids.tolist()
    assert names(association.catalogue, found(visit=2).event, [10], [0]) == [used + 1]


def test_a_name_from_before_a_merge_is_not_given_again(association, found, run):
    poor = {"raErr": [0.5 / 3600], "decErr": [0.5 / 3600]}
    run(association, found((-0.5, 0), visit=1, **poor))
    (absorbed,) = run(association, found((0.6, 0), visit=2, **poor)).dia_object_ids
    assert run(association, found((0.1, 0), visit=3)).dia_object_ids[0] != absorbed
    event = found(visit=4).event
    assert names(association.catalogue, event, [10 + 0.6 / 3600], [0]) == [absorbed + 1]


def test_names_fit_into_63_bits_all_over_the_sky(catalogue, found):
    rng = np.random.default_rng(1)
    ra, dec = rng.uniform(0, 360, 500), np.degrees(np.arcsin(rng.uniform(-1, 1, 500)))
    made = names(catalogue, found().event, ra, dec)
    assert len(set(made)) == 500
    assert all(0 < name < 1 << 63 for name in made)
