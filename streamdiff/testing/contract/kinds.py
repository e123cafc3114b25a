"""The kinds of plugins, by the name that a configuration has for them."""

from collections.abc import Mapping
from types import MappingProxyType

from streamdiff.testing.contract import (
    associate,
    coadd,
    decode,
    decorrelate,
    find,
    formats,
    measure,
    psf,
    read,
    register,
    score,
    subtract,
    warp,
)
from streamdiff.testing.contract.check import Subject
from streamdiff.testing.contract.kind import Kind

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        module.KIND.name: module.KIND
        for module in (
            read,
            psf,
            register,
            warp,
            subtract,
            decorrelate,
            find,
            measure,
            score,
            associate,
            coadd,
            formats,
            decode,
        )
    }
)


def kind_of(subject: Subject) -> Kind:
    """Return what the suite knows of the kind of a plugin."""
    return KINDS[subject.plugin.kind]
