"""The topics of the stream: the names of the contract behind a prefix."""

from dataclasses import dataclass

from streamdiff.config import Settings


@dataclass(frozen=True, slots=True)
class Topics:
    """Full names of all topics.

    Attributes
    ----------
    prefix : str
        First part of every name, such as ``streamdiff.``.
    inputs : str or None
        First part of the names of the topics that are read, where it is another.
    """

    prefix: str
    inputs: str | None = None

    @property
    def visit_ready(self) -> str:
        """Return the topic of exposures to process."""
        return f"{self._inputs}visit-ready"

    @property
    def template_update(self) -> str:
        """Return the topic of changes to templates."""
        return f"{self._inputs}template-update"

    @property
    def visit_processed(self) -> str:
        """Return the topic with one report per visit-ready event."""
        return f"{self.prefix}visit-processed"

    @property
    def template_rebuilt(self) -> str:
        """Return the topic with one report per rebuilt patch."""
        return f"{self.prefix}template-rebuilt"

    @property
    def dead_letter(self) -> str:
        """Return the topic of records that were given up."""
        return f"{self.prefix}dead-letter"

    @property
    def _inputs(self) -> str:
        return self.prefix if self.inputs is None else self.inputs

    def alerts(self, rank: int, format_name: str) -> str:
        """Return the topic of alerts in the format of a rank in the configuration.

        The first format has the topic ``alerts``, any other one of its own.
        """
        return f"{self.prefix}alerts" + (f".{format_name}" if rank else "")


def topics_of(settings: Settings) -> Topics:
    """Return the topics of a configuration."""
    stream = settings.stream
    return Topics(stream.topic_prefix, stream.input_prefix or None)


def consumed_topics(settings: Settings) -> dict[str, float]:
    """Return the topics to consume, and how long one of their events may take."""
    topics, stream = topics_of(settings), settings.stream
    chosen = {}
    if stream.only != "templates":
        chosen[topics.visit_ready] = stream.visit_timeout_s
    if stream.only != "visits":
        chosen[topics.template_update] = stream.template_timeout_s
    return chosen
