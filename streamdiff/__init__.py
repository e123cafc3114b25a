"""A plugin-based, event-driven stream processor for difference imaging.

This module is the public interface for plugins, beside `streamdiff.model`,
`streamdiff.stages`, `streamdiff.imaging`, `streamdiff.errors` and, in tests,
`streamdiff.testing`. ``streamdiff plugins guide KIND`` prints the page on a kind of
plugins; ``streamdiff.hookspecs.API_VERSION`` says when old plugins are refused.
"""

__version__ = "0.1.0"
