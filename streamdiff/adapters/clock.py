"""The time of this machine."""

import time


class SystemClock:
    """A `streamdiff.ports.Clock` that reads the machine's clocks."""

    def time(self) -> float:
        """Return seconds since 1970, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()


def mjd_tai(unix_s: float) -> float:
    """Return seconds since 1970, UTC, as MJD, TAI [d]."""
    # Whoever only wants to know the time is not to wait for astropy.
    from astropy.time import Time  # noqa: PLC0415

    return float(Time(unix_s, format="unix").tai.mjd)
