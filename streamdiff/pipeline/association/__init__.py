"""Association: DiaSources join DiaObjects, which tell their history."""

from streamdiff.pipeline.association.associate import Association
from streamdiff.pipeline.association.told import Associated

__all__ = ["Associated", "Association"]
