"""Coadds to be stored, and stores that keep some of them."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np

from streamdiff.adapters.template_store import FsspecTemplateStore, Keep
from streamdiff.model import Coadd, CoaddInput, GridPsf, TemplateId, VisitReady
from streamdiff.testing import Scene

TEMPLATE = TemplateId(tract=3, patch=5, band="r")
SCENE = Scene(shape=(20, 24))


def visit(number, event_id="e"):
    return VisitReady(
        event_id=f"{event_id}{number}",
        instrument="Sim/Cam",
        visit=number,
        detector=2,
        band="r",
        midpoint_mjd_tai=61000.5,
        exposure_time_s=30.0,
        image_uri=f"file:///data/{number}.fits",
        published_at=datetime(2026, 1, 2, 3, 4, 5, 6789, UTC),
    )


def coadd(value=1.0, template_id=TEMPLATE, scene=SCENE):
    observed = scene.observe()
    stamps = np.random.default_rng(1).uniform(0.1, 1, (2, 2, 5, 5))
    factor = np.linspace(1, 2, observed.image.size).reshape(observed.shape)
    exposure = replace(
        observed,
        id=template_id,
        image=np.full(observed.shape, value, np.float32),
        psf=GridPsf(stamps=stamps, x=[0.0, 23.0], y=[0.0, 19.0]),
        covariance_factor=factor.astype(np.float32),
        midpoint_mjd_tai=np.nan,
    )
    ids = [visit(n).exposure_id for n in (1, 2)]
    inputs = (
        CoaddInput(id=ids[0], weight=1.0),
        CoaddInput(id=ids[1], weight=0.0, accepted=False, reason="a cloud"),
    )
    return Coadd(
        exposure=exposure,
        n_image=np.full(observed.shape, 2),
        inputs=inputs,
        metrics={"n_inputs": 1.0, "mean_variance": 100.25},
    )


def save(store, value=1.0, events=(), *, after=None, update_id="update"):
    """Save a coadd after the last one."""
    if after is None:
        after = store.last(TEMPLATE)
    return store.save(coadd(value), list(events), after=after, update_id=update_id)


def keeping(folder, **keep):
    return FsspecTemplateStore(f"file://{folder.parents[3]}", keep=Keep(**keep))
