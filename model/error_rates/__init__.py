"""Distances to error rates with their intervals. Knows no picture."""
