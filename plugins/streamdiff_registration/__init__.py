"""Registration of a template to a science exposure: the plugin ``stars``."""

from collections.abc import Callable, Mapping

from streamdiff.hookspecs import hookimpl
from streamdiff.stages import Registrar
from streamdiff_registration.register import StarRegistrar

__all__ = ["StarRegistrar", "streamdiff_registrars"]


@hookimpl
def streamdiff_registrars() -> Mapping[str, Callable[..., Registrar]]:
    """Offer ``stars``."""
    return {"stars": StarRegistrar}
