"""Alerts that were written: read, compared, listed, and shown on a page."""
