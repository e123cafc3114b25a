"""Association: DiaSources join DiaObjects, which tell their history."""

from streamdiff.pipeline.association.associate import Association

__all__ = ["Association"]
