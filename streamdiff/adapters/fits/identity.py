"""Which exposure a file is, when it was taken, and what its units mean."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from astropy.time import Time

from streamdiff.adapters.fits.extensions import Extension, Extensions, quiet
from streamdiff.adapters.fits.persisted import persisted_calibration
from streamdiff.adapters.fits.planes import NANOJANSKY
from streamdiff.errors import ConfigError, InvalidExposureError
from streamdiff.imaging.quality import AB_NANOJANSKY
from streamdiff.model import ExposureId, TemplateId

TimeScale = Literal["tai", "utc", "tt", "tdb", "tcb", "tcg", "ut1"]
_FLUX_UNITS = {NANOJANSKY: 1.0, "uJy": 1e3, "mJy": 1e6, "Jy": 1e9}
_SECONDS_PER_DAY = 86400.0
_MAGNITUDE_ROUNDING = 1e-3


@dataclass(frozen=True, kw_only=True)
class HeaderOptions:
    """Which keywords hold what, and values for what a header lacks.

    Attributes
    ----------
    instrument_key, visit_key, detector_key, band_key, exptime_key : str
        Keywords of the identity, and of the exposure time [s].
    instrument, detector, band
        Values that win over the header.
    band_map : mapping of str to str
        Value of ``band_key`` -> band.
    mjd_key : str
        Keyword of the time: an MJD, or an ISO date.
    mjd_is : {"mid", "start"}
        Which moment of the exposure it tells.
    time_scale : str
        Of that time.
    magzero_key : str
        Keyword of the AB magnitude of one count.
    magzero : float or None
        AB magnitude of one count; wins over the header.
    """

    instrument_key: str = "INSTRUME"
    instrument: str | None = None
    visit_key: str = "VISIT"
    detector_key: str = "DETECTOR"
    detector: int | None = None
    band_key: str = "BAND"
    band: str | None = None
    band_map: Mapping[str, str] = field(default_factory=dict)
    mjd_key: str = "MJD-TAI"
    mjd_is: Literal["mid", "start"] = "mid"
    time_scale: TimeScale = "tai"
    exptime_key: str = "EXPTIME"
    magzero_key: str = "MAGZERO"
    magzero: float | None = None

    def __post_init__(self) -> None:
        if self.mjd_is not in {"mid", "start"}:
            raise ConfigError(f"mjd_is must be mid or start, got {self.mjd_is!r}")
        if self.time_scale not in get_args(TimeScale):
            raise ConfigError(
                f"time_scale must be one of {', '.join(get_args(TimeScale))}, "
                f"got {self.time_scale!r}"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Headers:
    """The header of an image, backed by the primary header of its file."""

    image: Extension
    primary: Extension
    options: HeaderOptions
    calibration: float | None = None  # the archive's, of a calexp [nJy per count]

    @classmethod
    def of(cls, extensions: Extensions, options: HeaderOptions) -> "Headers":
        """Return the headers of a file's image."""
        return cls(
            image=extensions.image(),
            primary=extensions.primary,
            options=options,
            calibration=persisted_calibration(extensions),
        )

    def number(self, keyword: str) -> float | None:
        """Return the finite number of a keyword, `None` where it is absent."""
        number = self.image.number(keyword)
        return self.primary.number(keyword) if number is None else number

    def value(self, keyword: str) -> Any:  # noqa: ANN401
        """Return the value of a keyword, `None` where it is absent."""
        value = self.image.value(keyword)
        return self.primary.value(keyword) if value is None else value

    def missing(self, keyword: str, remedy: str) -> InvalidExposureError:
        """Return the error that a keyword is absent, to be raised."""
        return self.image.invalid(f"is missing: {remedy}", keyword)

    def exposure_id(self, defaults: ExposureId | None = None) -> ExposureId:
        """Return the identity that the header tells.

        Raises
        ------
        InvalidExposureError
            If a keyword is absent and there is no default, or out of range.
        """
        options = self.options
        instrument = options.instrument or self.value(options.instrument_key)
        if instrument is None:
            if defaults is None:
                raise self.missing(
                    options.instrument_key, "set instrument or instrument_key"
                )
            instrument = defaults.instrument
        detector = options.detector
        if detector is None:
            detector = self._integer(
                options.detector_key, defaults.detector if defaults else None
            )
        try:
            return ExposureId(
                instrument=str(instrument).strip(),
                visit=self._integer(
                    options.visit_key, defaults.visit if defaults else None
                ),
                detector=detector,
                band=self._band(defaults.band if defaults else None),
            )
        except ValueError as err:
            raise self.image.invalid(str(err)) from err

    def template_id(self) -> TemplateId | None:
        """Return the template that this is; `None` for an exposure."""
        text = self.value("TEMPLATE")
        try:
            return None if text is None else TemplateId.parse(str(text))
        except ValueError as err:
            raise self.image.invalid(str(err), "TEMPLATE") from err

    def exposure_time_s(self, default: float | None = None) -> float:
        """Return the exposure time [s]."""
        key = self.options.exptime_key
        number = self.number(key)
        number = default if number is None else number
        if number is None:
            raise self.missing(key, "set exptime_key")
        if number < 0:
            raise self.image.invalid(f"must not be negative, is {number}", key)
        return number

    def midpoint_mjd_tai(
        self, exposure_time_s: float, default: float | None = None
    ) -> float:
        """Return the time of mid-exposure [MJD, TAI]."""
        options = self.options
        value = self.value(options.mjd_key)
        if value is None:
            if default is not None:
                return default
            raise self.missing(options.mjd_key, "set mjd_key, mjd_is and time_scale")
        try:
            with quiet():
                date_format = "isot" if "T" in str(value) else "mjd"
                stated = value if date_format == "isot" else float(value)
                tai = Time(stated, format=date_format, scale=options.time_scale).tai
                start = float(tai.mjd)
        except (TypeError, ValueError) as err:
            raise self.image.invalid(
                f"is no time: {value!r}: {err}", options.mjd_key
            ) from err
        offset = exposure_time_s / 2 if options.mjd_is == "start" else 0.0
        return start + offset / _SECONDS_PER_DAY

    def nanojansky_per_unit(self) -> float | None:
        """Return the value of one count [nJy]; `None` for uncalibrated images.

        Raises
        ------
        InvalidExposureError
            If unit and zero point contradict each other.
        """
        options = self.options
        unit = _FLUX_UNITS.get(str(self.value("BUNIT") or "").strip())
        magzero = options.magzero
        if magzero is None:
            magzero = self.number(options.magzero_key)
        if magzero is None:
            return unit or self.calibration
        scale = float(10 ** (0.4 * (AB_NANOJANSKY - magzero)))
        if unit is not None and abs(scale / unit - 1) > _MAGNITUDE_ROUNDING:
            raise self.image.invalid(
                f"BUNIT {self.value('BUNIT')!r} means {unit:g} nJy per unit, the zero "
                f"point {magzero} means {scale:g}: remove one of them",
                options.magzero_key,
            )
        return unit or scale

    def _band(self, default: str | None) -> str:
        options = self.options
        if options.band is not None:
            return options.band
        value = self.value(options.band_key)
        if value is None:
            if default is not None:
                return default
            raise self.missing(options.band_key, "set band, or band_key and band_map")
        text = str(value).strip()
        return options.band_map.get(text, text)

    def _integer(self, keyword: str, default: int | None) -> int:
        value = self.value(keyword)
        if value is None:
            if default is not None:
                return default
            raise self.missing(
                keyword, "give it, or name another keyword in the reader's options"
            )
        try:
            if isinstance(value, bool) or float(value) != int(float(value)):
                raise ValueError  # noqa: TRY301
            return int(value)
        except (TypeError, ValueError, OverflowError) as err:
            if default is not None:
                return default
            raise self.image.invalid(
                f"must be an integer, is {value!r}: the reader's options can name "
                "another keyword, or give the value",
                keyword,
            ) from err
