"""Reading dead letters: why an event was given up, and what it was."""

from collections.abc import Mapping
from dataclasses import dataclass

from streamdiff import errors
from streamdiff.errors import UnprocessableError
from streamdiff.model import Reason
from streamdiff.ports import ConsumedRecord, OutgoingRecord
from streamdiff.stream.dead_letter import OMITTED, PREFIX


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """A record of the dead-letter topic.

    Attributes
    ----------
    record : ConsumedRecord
        As it is there.
    facts : mapping of str to str
        The headers ``streamdiff.dlq.*``, by their names without that.
    """

    record: ConsumedRecord
    facts: Mapping[str, str]

    @classmethod
    def of(cls, record: ConsumedRecord) -> "DeadLetter | None":
        """Return the dead letter that a record is; `None` if it is none."""
        facts = {
            name.removeprefix(PREFIX): (value or b"").decode(errors="replace")
            for name, value in record.headers
            if name.startswith(PREFIX)
        }
        return cls(record=record, facts=facts) if "topic" in facts else None

    @property
    def place(self) -> str:
        """Return partition and offset in the dead-letter topic."""
        return f"{self.record.partition}:{self.record.offset}"

    @property
    def topic(self) -> str:
        """Return the topic that the event came from."""
        return self.facts["topic"]

    @property
    def reason(self) -> str:
        """Return the reason code; letters without one tell it by their error."""
        if told := self.facts.get("reason"):
            return told
        error = getattr(errors, self.facts.get("error_class", ""), None)
        return str(getattr(error, "reason", Reason.INTERNAL.value))

    def original(self) -> OutgoingRecord:
        """Return the record as it was: its key, value and headers, for its topic.

        Raises
        ------
        UnprocessableError
            If the letter was sent without the value, which was too large.
        """
        if "value" in self.facts.get(OMITTED.removeprefix(PREFIX), ""):
            raise UnprocessableError(
                f"dead letter {self.place} has no value: publish the event anew"
            )
        return OutgoingRecord(
            topic=self.topic,
            key=self.record.key,
            value=self.record.value,
            headers=tuple(
                header
                for header in self.record.headers
                if not header[0].startswith(PREFIX)
            ),
        )
