"""Plugins on the same images: which is deeper, more honest, faster."""
