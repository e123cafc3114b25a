"""Hostile and broken messages and files, each with the reason that is told of it."""

import gzip
import io
import json
import os
import pickle
import struct
from dataclasses import fields

import numpy as np
import pytest
from astropy.io import fits

from streamdiff.adapters.avro.events import encode_event
from streamdiff.model import Action, Reason, TemplateUpdate

UNDECODABLE = "undecodable"
JSON = (("content-type", b"application/json"),)


def test_a_good_exposure_without_a_template_is_skipped(target):
    assert target.ask(encode_event(target.event())) is Reason.NO_TEMPLATE


def update(target):
    event = target.event()
    return encode_event(
        TemplateUpdate(
            event_id="update",
            band="r",
            action=Action.ADD,
            exposures=(event,),
            published_at=event.published_at,
        )
    )


def avro(target, **changes):
    return encode_event(target.event(**changes))


def first_string(target, length):
    """The good event, but for the length that its first string claims."""
    good = avro(target)
    return good[:5] + length + good[6:]


MESSAGES = {
    "nothing": lambda _: b"",
    "no value": lambda _: None,
    "one byte": lambda _: b"\0",
    "the header alone": lambda t: avro(t)[:5],
    "another magic byte": lambda t: b"\1" + avro(t)[1:],
    "an unknown schema": lambda t: b"\0" + struct.pack(">i", 12345) + avro(t)[5:],
    "a schema with a negative id": lambda t: b"\0" + b"\xff" * 4 + avro(t)[5:],
    "another record": update,
    "half an event": lambda t: avro(t)[: len(avro(t)) // 2],
    "an event and more": lambda t: avro(t) + b"more",
    "a string of 2**62 bytes": lambda t: first_string(
        t, b"\xfe" + b"\xff" * 7 + b"\x7f"
    ),
    "a string of -1 bytes": lambda t: first_string(t, b"\x01"),
    "a number without an end": lambda t: first_string(t, b"\xff" * 40),
    "no UTF-8": lambda t: avro(t).replace(b"visit-7", b"visit-\xff"),
    "a pickle": lambda _: pickle.dumps({"visit": 7}),
    "a pickle that would run a command": lambda _: b"cos\nsystem\n(S'false'\ntR.",
    "gzip": lambda t: gzip.compress(avro(t)),
    "JSON that does not say so": lambda _: b'{"visit": 7}',
    "a megabyte of zeros": lambda _: bytes(1 << 20),
    "a million strings": lambda t: avro(t)[:5] + b"\2a" * 1_000_000,
}


@pytest.mark.parametrize("name", MESSAGES)
def test_what_is_no_event_is_undecodable(target, name):
    assert target.ask(MESSAGES[name](target)) == UNDECODABLE


def as_json(target, **changes):
    event = target.event()
    known = {f.name: getattr(event, f.name) for f in fields(event)}
    values = {k: v for k, v in known.items() if v is not None} | changes
    return json.dumps(values, default=str).encode()


JSONS = {
    "no JSON": lambda _: b"{",
    "a list": lambda _: b"[]",
    "a number": lambda _: b"7",
    "no object at all": lambda _: b"null",
    "a hundred thousand brackets": lambda _: b"[" * 100_000,
    "no fields": lambda _: b"{}",
    "a visit that is text": lambda t: as_json(t, visit="seven"),
    "a visit that is negative": lambda t: as_json(t, visit=-1),
    "a visit of 2**41": lambda t: as_json(t, visit=2**41),
    "a detector of 256": lambda t: as_json(t, detector=256),
    "a number of 5000 digits": lambda t: as_json(t).replace(
        b'"visit": 7', b'"visit": ' + b"9" * 5000
    ),
    "a time that is no number": lambda t: as_json(t, midpoint_mjd_tai=float("nan")),
    "an endless exposure": lambda t: as_json(t, exposure_time_s=float("inf")),
    "a negative exposure": lambda t: as_json(t, exposure_time_s=-1.0),
    "no id": lambda t: as_json(t, event_id=""),
    "no file": lambda t: as_json(t, image_uri=""),
}


@pytest.mark.parametrize("name", JSONS)
def test_json_that_is_no_event_is_undecodable(target, name):
    assert target.ask(JSONS[name](target), JSON) == UNDECODABLE


URIS = {
    "file:///etc/passwd": Reason.FORBIDDEN_URI,
    "/etc/passwd": Reason.FORBIDDEN_URI,
    "{root}/../../../../../../etc/passwd": Reason.FORBIDDEN_URI,
    "{root}/%2e%2e/%2e%2e/store": Reason.FORBIDDEN_URI,
    "{root}/link": Reason.FORBIDDEN_URI,
    "{root}/good.fits%00.png": Reason.FORBIDDEN_URI,
    "{root}/good.fits?x=1": Reason.FORBIDDEN_URI,
    "{root}x/good.fits": Reason.FORBIDDEN_URI,
    "zip://good.fits::{root}/a.zip": Reason.FORBIDDEN_URI,
    "file://elsewhere{path}/good.fits": Reason.FORBIDDEN_URI,
    "http://user:password@127.0.0.1:1/good.fits": Reason.FORBIDDEN_URI,
    "https://169.254.169.254/latest/meta-data": Reason.FORBIDDEN_URI,
    "s3://bucket/good.fits": Reason.FORBIDDEN_URI,
    "memory://good.fits": Reason.FORBIDDEN_URI,
    "simplecache::{root}/good.fits": Reason.FORBIDDEN_URI,
    "{root}": Reason.UNREADABLE_IMAGE,
    "{root}/none.fits": Reason.UNREADABLE_IMAGE,
    "{root}/pipe": Reason.UNREADABLE_IMAGE,
}


@pytest.mark.parametrize("uri", URIS)
def test_a_file_that_is_not_to_be_read_is_not(target, uri):
    link, pipe = target.images / "link", target.images / "pipe"
    if not link.is_symlink():
        link.symlink_to("/etc/passwd")
        os.mkfifo(pipe)
    named = uri.replace("{root}", target.images.as_uri())
    named = named.replace("{path}", str(target.images))
    assert target.ask(avro(target, image_uri=named)) is URIS[uri]


def test_a_file_that_has_changed_is_not_processed(target):
    message = avro(target, image_sha256="0" * 64)
    assert target.ask(message) is Reason.CHECKSUM_MISMATCH


def changed(target, change):
    """The good file, its HDUs changed."""
    with fits.open(io.BytesIO(target.good)) as hdus:
        change(hdus)
        out = io.BytesIO()
        hdus.writeto(out, output_verify="ignore")
    return out.getvalue()


def card(target, keyword, value):
    """The good file, the first card of a keyword changed in its place."""
    start = target.good.index(keyword.ljust(8).encode() + b"=")
    new = f"{keyword:8}= {value:>20}".ljust(80).encode()
    return target.good[:start] + new + target.good[start + 80 :]


def without_wcs(hdus):
    for hdu in hdus:
        for keyword in ("CTYPE1", "CTYPE2"):
            hdu.header.remove(keyword, ignore_missing=True)


def set_plane(name, value):
    def change(hdus):
        hdus[name].data = np.full_like(hdus[name].data, value)

    return change


def cut_plane(hdus):
    hdus["VARIANCE"].data = hdus["VARIANCE"].data[:32]


def bomb():
    """A tile-compressed image that claims far more pixels than it has bytes for."""
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column(
                name="COMPRESSED_DATA", format="1PB()", array=[np.zeros(3, np.uint8)]
            )
        ]
    )
    claims = {"ZIMAGE": True, "ZCMPTYPE": "RICE_1", "ZBITPIX": -32, "ZNAXIS": 2}
    for keyword, value in (claims | {"ZNAXIS1": 200_000, "ZNAXIS2": 200_000}).items():
        table.header[keyword] = value
    out = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(out)
    return out.getvalue()


FILES = {
    "nothing": (lambda _: b"", Reason.UNREADABLE_IMAGE),
    "text": (lambda _: b"hello", Reason.UNREADABLE_IMAGE),
    "a block of zeros": (lambda _: bytes(2880), Reason.UNREADABLE_IMAGE),
    "a header without an end": (lambda t: t.good[:160] * 36, Reason.UNREADABLE_IMAGE),
    "half a file": (lambda t: t.good[: len(t.good) // 2], Reason.UNREADABLE_IMAGE),
    "10**9 columns": (lambda t: card(t, "NAXIS1", 10**9), Reason.UNREADABLE_IMAGE),
    "-1 columns": (lambda t: card(t, "NAXIS1", -1), Reason.UNREADABLE_IMAGE),
    "no columns": (lambda t: card(t, "NAXIS1", 0), Reason.INVALID_EXPOSURE),
    "7 bits per pixel": (lambda t: card(t, "BITPIX", 7), Reason.UNREADABLE_IMAGE),
    "an extension without a type": (
        lambda t: t.good.replace(b"XTENSION= 'IMAGE   '", b"XTENSION= 'IMAGE    "),
        Reason.UNREADABLE_IMAGE,
    ),
    "a gzip bomb": (lambda _: gzip.compress(bytes(1 << 26)), Reason.TOO_LARGE),
    "gzip that ends early": (
        lambda t: gzip.compress(t.good)[:-100],
        Reason.UNREADABLE_IMAGE,
    ),
    "a tile compression bomb": (lambda _: bomb(), Reason.TOO_LARGE),
    "a file above the limit": (lambda t: t.good + bytes(9 << 20), Reason.TOO_LARGE),
    "no WCS": (lambda t: changed(t, without_wcs), Reason.INVALID_EXPOSURE),
    "an image of NaN": (
        lambda t: changed(t, set_plane("IMAGE", np.nan)),
        Reason.INVALID_EXPOSURE,
    ),
    "a PSF of zeros": (
        lambda t: changed(t, set_plane("PSF", 0)),
        Reason.INVALID_EXPOSURE,
    ),
    "planes of other shapes": (
        lambda t: changed(t, cut_plane),
        Reason.INVALID_EXPOSURE,
    ),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_good_exposure_is_reported(target, name):
    make, reason = FILES[name]
    assert target.ask_about_file(make(target)) is reason


def test_there_are_fifty_named_cases():
    assert len(MESSAGES) + len(JSONS) + len(URIS) + len(FILES) >= 50
