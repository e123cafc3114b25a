"""The monitor: recent alerts and visits, as pages of a local web server."""
