"""What ``--inject`` means, such as ``n=50,snr=3:30,seed=7``."""

from streamdiff.app.wiring import injection
from streamdiff.config import InjectionSettings
from streamdiff.errors import ConfigError
from streamdiff.pipeline.inject import Scale

EXAMPLE = "n=50,snr=3:30,seed=7"


def parse_injection(text: str) -> InjectionSettings:
    """Return the settings of sources that every visit gets.

    Parameters
    ----------
    text : str
        Commas between ``n=NUMBER``, ``seed=NUMBER`` and one of ``snr=LOW:HIGH``,
        ``flux=LOW:HIGH`` and ``mag=LOW:HIGH``; all may be left out.

    Raises
    ------
    ConfigError
        If it says something else, or the numbers make no sense.
    """
    fields: dict[str, object] = {"fraction": 1.0}
    for part in filter(None, text.split(",")):
        name, _, value = part.partition("=")
        try:
            if name in {"n", "seed"}:
                fields[name] = int(value)
            else:
                low, high = map(float, value.split(":"))
                fields |= {"scale": Scale(name).value, "low": low, "high": high}
        except ValueError as err:
            raise ConfigError(
                f"--inject {text}: {part!r} is not understood; such as {EXAMPLE}"
            ) from err
    try:
        settings = InjectionSettings.model_validate(fields)
        injection(settings)
    except (ConfigError, ValueError) as err:
        raise ConfigError(f"--inject {text}: {_first_line(err)}") from err
    return settings


def _first_line(err: Exception) -> str:
    return str(err).splitlines()[0]
