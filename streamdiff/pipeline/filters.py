"""Which DiaSources become no alerts, although they were found."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from streamdiff.model import Column, DiaSources

FILTER_REASON = Column("filterReason", "U16", "", "Why it became no alert")

_Rule = NDArray[np.bool_]


class FilterReason(StrEnum):
    """Why a DiaSource became no alert: the keys of ``n_filtered``."""

    BAD_FLAG = "bad_flag"
    LONG_TRAIL = "long_trail"
    NEGATIVE_SCIENCE = "negative_science"
    UNRELIABLE = "unreliable"
    SKY_SOURCE = "sky_source"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """Rules that DiaSources have to meet; the first one that is broken counts.

    Attributes
    ----------
    bad_flags : collection of str
        Columns none of which may be True.
    max_trail_rate : float
        Trails as long as this times the exposure time are satellites, not minor
        planets [arcsec/s]; so are trails that reach the border and may be as long.
    min_science_snr : float
        Least signal-to-noise ratio of the flux on the science image.
    min_reliability : float
        Least reliability, where there is one.

    Notes
    -----
    A value that was not measured breaks no rule.
    """

    bad_flags: Collection[str] = ()
    max_trail_rate: float = np.inf
    min_science_snr: float = -np.inf
    min_reliability: float = 0.0

    def __call__(
        self, sources: DiaSources, exposure_time_s: float
    ) -> tuple[DiaSources, DiaSources]:
        """Return the DiaSources that meet all rules, and the others with a reason."""
        rules = {
            FilterReason.BAD_FLAG: self._flagged(sources),
            FilterReason.LONG_TRAIL: self._long(sources, exposure_time_s),
            FilterReason.NEGATIVE_SCIENCE: self._negative(sources),
            FilterReason.UNRELIABLE: self._unreliable(sources),
        }
        reason = np.full(len(sources), "", FILTER_REASON.dtype)
        for name, broken in rules.items():
            reason[broken & (reason == "")] = name
        dropped = reason != ""
        return (
            sources.take(~dropped),
            with_reason(sources.take(dropped), reason[dropped]),
        )

    def _flagged(self, sources: DiaSources) -> _Rule:
        flagged = np.zeros(len(sources), bool)
        for name in self.bad_flags:
            flagged |= sources[name].astype(bool)
        return flagged

    def _long(self, sources: DiaSources, exposure_time_s: float) -> _Rule:
        limit = self.max_trail_rate * exposure_time_s
        if "trailLength" not in sources or not (exposure_time_s > 0 and limit < np.inf):
            return np.zeros(len(sources), bool)
        long: _Rule = sources["trailLength"] >= limit
        if "trail_flag_edge" in sources and "trailLengthMax" in sources:
            # What is cut by the border may go on beyond it.
            cut = sources["trail_flag_edge"] & (sources["trailLengthMax"] >= limit)
            long = long | cut
        return long

    def _negative(self, sources: DiaSources) -> _Rule:
        if "scienceFlux" not in sources or self.min_science_snr == -np.inf:
            return np.zeros(len(sources), bool)
        limit = self.min_science_snr * sources["scienceFluxErr"].astype(float)
        negative: _Rule = sources["scienceFlux"] < limit
        return negative

    def _unreliable(self, sources: DiaSources) -> _Rule:
        if "reliability" not in sources:
            return np.zeros(len(sources), bool)
        unreliable: _Rule = sources["reliability"] < self.min_reliability
        return unreliable


def with_reason(
    sources: DiaSources, reason: NDArray[np.str_] | FilterReason
) -> DiaSources:
    """Return DiaSources with the column ``filterReason``."""
    reasons = np.broadcast_to(np.asarray(reason), len(sources))
    return sources.with_columns([FILTER_REASON], {FILTER_REASON.name: reasons})


def count_reasons(dropped: DiaSources) -> Mapping[str, int]:
    """Return how many DiaSources were dropped for each reason."""
    if FILTER_REASON.name not in dropped:
        return {}
    return dict(sorted(Counter(dropped[FILTER_REASON.name].tolist()).items()))
