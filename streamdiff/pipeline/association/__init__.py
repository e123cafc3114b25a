"""Association: DiaSources join DiaObjects, which tell their history."""

from streamdiff.pipeline.association.associate import Associated, Association

__all__ = ["Associated", "Association"]
