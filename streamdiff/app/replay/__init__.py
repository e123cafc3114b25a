"""Replays of archived event logs: in this process, or into topics."""
