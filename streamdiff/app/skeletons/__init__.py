"""The beginnings of plugins: one small module per kind that keeps its contract.

``streamdiff plugins new`` copies one under another name; ``streamdiff plugins guide``
shows it. Each is checked like any plugin.
"""
