"""Pixels in, decisions out. Knows no web framework and reads no environment."""
