"""Whatever an event holds, it comes back."""

from datetime import UTC

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamdiff.adapters.avro import wire
from streamdiff.adapters.avro.events import RECORD_OF_TOPIC, decode_event, encode_event
from streamdiff.errors import UndecodableError
from streamdiff.model import (
    Action,
    CoaddInput,
    ExposureId,
    Outcome,
    Provenance,
    Reason,
    TemplateRebuilt,
    TemplateUpdate,
    TemplateUse,
    VisitProcessed,
    VisitReady,
)

JSON_HEADERS = (("content-type", b"application/json"),)

names = st.text(min_size=1, max_size=8).filter(lambda s: s.isprintable())
maybe_names = st.none() | names
times = st.datetimes(timezones=st.just(UTC))
finite = st.floats(allow_nan=False, allow_infinity=False)
fractions = st.floats(0, 1)
visits, detectors = st.integers(0, 2**41 - 1), st.integers(0, 255)
template_names = st.sampled_from(["deep", "shallow_2"])
counts = st.integers(0, 2**31 - 1)
metrics = st.dictionaries(names, finite, max_size=3)

visit_events = st.builds(
    VisitReady,
    event_id=names,
    instrument=names,
    visit=visits,
    detector=detectors,
    band=names,
    midpoint_mjd_tai=finite,
    exposure_time_s=st.floats(0, 1e6),
    image_uri=names,
    published_at=times,
    physical_filter=maybe_names,
    mask_uri=maybe_names,
    variance_uri=maybe_names,
    psf_uri=maybe_names,
    catalogue_uri=maybe_names,
    image_sha256=maybe_names,
    template_name=template_names,
    template_version=st.none() | st.integers(0, 2**62),
)
patches = st.builds(
    TemplateUpdate,
    event_id=names,
    band=st.sampled_from("ugrizy"),
    action=st.sampled_from(Action),
    published_at=times,
    template_name=template_names,
    tract=counts,
    patch=counts,
    exposures=st.lists(visit_events, max_size=2).map(tuple),
)
covering = st.builds(
    TemplateUpdate,
    event_id=names,
    band=st.sampled_from("ugrizy"),
    action=st.sampled_from(Action),
    published_at=times,
    exposures=st.lists(visit_events, min_size=1, max_size=2).map(tuple),
)
endings = st.one_of(
    st.just((Outcome.PROCESSED, None)),
    st.sampled_from(Reason).map(lambda reason: (reason.outcome, reason)),
)
provenances = st.builds(
    Provenance,
    plugins=st.dictionaries(names, names, max_size=2),
    config_hash=names,
    software_version=names,
)
uses = st.builds(
    TemplateUse, template_id=names, version=st.integers(1, 2**40), fraction=fractions
)


@st.composite
def visit_reports(draw):
    outcome, reason = draw(endings)
    return VisitProcessed(
        event_id=draw(names),
        instrument=draw(names),
        visit=draw(visits),
        detector=draw(detectors),
        band=draw(names),
        outcome=outcome,
        reason=reason,
        detail=draw(maybe_names),
        n_alerts=draw(counts),
        n_filtered=draw(st.dictionaries(names, counts, max_size=2)),
        metrics=draw(metrics),
        stage_seconds=draw(metrics),
        templates=tuple(draw(st.lists(uses, max_size=2))),
        provenance=draw(provenances),
        attempts=draw(counts),
        finished_at=draw(times),
    )


@st.composite
def template_reports(draw):
    outcome, reason = draw(endings)
    inputs = st.builds(
        CoaddInput,
        id=st.builds(
            ExposureId,
            instrument=names,
            visit=visits,
            detector=detectors,
            band=st.just("r"),
        ),
        weight=fractions,
        accepted=st.booleans(),
        reason=maybe_names,
    )
    return TemplateRebuilt(
        event_id=draw(names),
        template_id="deep/4321/17/r",
        version=draw(st.integers(0, 2**40)),
        outcome=outcome,
        reason=reason,
        n_epochs=draw(counts),
        inputs=tuple(draw(st.lists(inputs, max_size=3))),
        metrics=draw(metrics),
        software_version=draw(names),
        finished_at=draw(times),
    )


events = st.one_of(visit_events, patches, covering, visit_reports(), template_reports())


@given(event=events)
@settings(max_examples=200, deadline=None)
def test_an_event_comes_back_from_avro(event, consumed):
    assert decode_event(consumed(encode_event(event))) == event


@given(event=events)
@settings(max_examples=200, deadline=None)
def test_an_event_comes_back_from_json(event, as_json, consumed):
    record, _ = wire.decode(encode_event(event))
    topic = next(name for name, r in RECORD_OF_TOPIC.items() if r == record)
    message = consumed(as_json(event).encode(), f"streamdiff.{topic}", JSON_HEADERS)
    assert decode_event(message) == event


@given(value=st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
@settings(max_examples=200, deadline=None)
def test_random_bytes_as_json_are_refused(value, consumed):
    with pytest.raises(UndecodableError):
        decode_event(consumed(value, "visit-ready", JSON_HEADERS))
