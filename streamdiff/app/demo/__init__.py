"""The demo: a simulated survey through the real stream and pipeline, and scored."""
