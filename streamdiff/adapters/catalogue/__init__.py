"""The catalogue in a relational database: SQLite, or PostgreSQL."""

from streamdiff.adapters.catalogue.sql import SqlCatalogue

__all__ = ["SqlCatalogue"]
