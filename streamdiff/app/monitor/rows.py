"""What a table shows of an alert, and which alerts it shows in which order."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from streamdiff.app.alerts.light_curves import dia_object_of
from streamdiff.app.alerts.reading import Record
from streamdiff.app.alerts.report import flux_unit

PAGE_SIZE = 50
_MAX_PAGE = 1_000_000
_MAX_DIGITS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRow:
    """One line of the table of alerts.

    Attributes
    ----------
    id : int
        The diaSourceId.
    object : int or None
        The diaObjectId.
    visit, detector : int
    band : str
    mjd : float
        Mid-exposure [MJD, TAI].
    ra, dec : float
        ICRS [deg].
    snr, reliability, flux : float or None
    unit : str
        Of the flux.
    dipole : bool
    number : int
        Counts the alerts as they came.
    """

    id: int
    object: int | None
    visit: int
    detector: int
    band: str
    mjd: float
    ra: float
    dec: float
    snr: float | None
    reliability: float | None
    flux: float | None
    unit: str
    dipole: bool
    number: int = 0

    @classmethod
    def of(cls, record: Record) -> "AlertRow":
        """Return the row of an alert's record."""
        source = record["diaSource"]
        return cls(
            id=int(record["diaSourceId"]),
            object=dia_object_of(record),
            visit=int(source["visit"]),
            detector=int(source["detector"]),
            band=str(source.get("band") or ""),
            mjd=float(source["midpointMjdTai"]),
            ra=float(source["ra"]),
            dec=float(source["dec"]),
            snr=_finite(source.get("snr")),
            reliability=_finite(source.get("reliability")),
            flux=_finite(source.get("psfFlux")),
            unit=flux_unit(record),
            dipole=source.get("isDipole") is True,
        )

    def as_json(self) -> dict[str, Any]:
        """Return what can be written as JSON."""
        return {
            name: None
            if isinstance(value, float) and not math.isfinite(value)
            else value
            for name, value in asdict(self).items()
        }


SORTABLE = (
    "number",
    "id",
    "object",
    "visit",
    "detector",
    "band",
    "mjd",
    "snr",
    "reliability",
    "flux",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertQuery:
    """Which alerts of the table are wanted, and how they are sorted.

    Attributes
    ----------
    band : str
        Empty for any.
    min_snr, min_reliability, max_reliability : float or None
        An alert without the value does not pass. `None` for any.
    dipole : str
        ``yes``, ``no`` or empty for either.
    object, visit, detector : int or None
    sort : str
        One of `SORTABLE`; with a minus before it, the largest come first.
    page : int
        From 1.
    """

    band: str = ""
    min_snr: float | None = None
    min_reliability: float | None = None
    max_reliability: float | None = None
    dipole: str = ""
    object: int | None = None
    visit: int | None = None
    detector: int | None = None
    sort: str = "-number"
    page: int = 1

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> "AlertQuery":
        """Return the query of an address; what makes no sense counts as not given."""
        text = {name: value.strip() for name, value in parameters.items()}
        sort = text.get("sort", "")
        return cls(
            band=text.get("band", ""),
            min_snr=_number(text.get("min_snr", "")),
            min_reliability=_number(text.get("min_reliability", "")),
            max_reliability=_number(text.get("max_reliability", "")),
            dipole=text["dipole"] if text.get("dipole") in {"yes", "no"} else "",
            object=whole_number(text.get("object", "")),
            visit=whole_number(text.get("visit", "")),
            detector=whole_number(text.get("detector", "")),
            sort=sort if sort.removeprefix("-") in SORTABLE else "-number",
            page=min(max(whole_number(text.get("page", "")) or 1, 1), _MAX_PAGE),
        )

    def accepts(self, row: AlertRow) -> bool:
        """Return whether an alert is wanted."""
        return (
            self.band in {"", row.band}
            and _is_at_least(row.snr, self.min_snr)
            and _is_at_least(row.reliability, self.min_reliability)
            and _is_at_most(row.reliability, self.max_reliability)
            and self.dipole in {"", "yes" if row.dipole else "no"}
            and self.object in {None, row.object}
            and self.visit in {None, row.visit}
            and self.detector in {None, row.detector}
        )

    def choose(self, rows: Iterable[AlertRow]) -> list[AlertRow]:
        """Return the wanted alerts in their order, of all pages."""
        name = self.sort.removeprefix("-")
        wanted = [row for row in rows if self.accepts(row)]
        known = [row for row in wanted if getattr(row, name) is not None]
        unknown = [row for row in wanted if getattr(row, name) is None]
        known.sort(
            key=lambda row: (getattr(row, name), row.number),
            reverse=self.sort.startswith("-"),
        )
        return known + unknown

    def page_of(self, rows: list[AlertRow]) -> list[AlertRow]:
        """Return the rows of the page."""
        return rows[(self.page - 1) * PAGE_SIZE : self.page * PAGE_SIZE]

    def address(self, **changes: int | str) -> str:
        """Return the part of an address that asks this, or something else."""
        changed = replace(self, **{"page": 1, **changes})  # type: ignore[arg-type]
        asked = {
            f.name: getattr(changed, f.name)
            for f in fields(self)
            if getattr(changed, f.name) not in {f.default, None, ""}
        }
        return f"?{urlencode(asked)}"

    def sorted_by(self, name: str) -> str:
        """Return the address that sorts by a column: the largest first, then last."""
        return self.address(sort=name if self.sort == f"-{name}" else f"-{name}")


def whole_number(text: str) -> int | None:
    """Return the number that a text of an address stands for; `None` if none."""
    digits = text.removeprefix("-")
    is_number = digits.isascii() and digits.isdecimal() and len(digits) <= _MAX_DIGITS
    return int(text) if is_number else None


def _number(text: str) -> float | None:
    try:
        return _finite(float(text))
    except ValueError:
        return None


def _finite(value: float | None) -> float | None:
    return None if value is None or not math.isfinite(value) else float(value)


def _is_at_least(value: float | None, limit: float | None) -> bool:
    return limit is None or (value is not None and value >= limit)


def _is_at_most(value: float | None, limit: float | None) -> bool:
    return limit is None or (value is not None and value <= limit)
