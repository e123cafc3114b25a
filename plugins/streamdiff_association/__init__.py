"""Association of DiaSources with DiaObjects, as a plugin of streamdiff."""

from collections.abc import Callable, Mapping

from streamdiff.hookspecs import hookimpl
from streamdiff.stages import Associator
from streamdiff_association.nearest import Nearest


@hookimpl
def streamdiff_associators() -> Mapping[str, Callable[..., Associator]]:
    """Offer ``nearest``."""
    return {"nearest": Nearest}
