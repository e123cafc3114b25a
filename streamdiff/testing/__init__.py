"""Simulated skies and surveys, for tests and the demo."""
