"""Pixels to one face and its crop. Knows no bundle."""
