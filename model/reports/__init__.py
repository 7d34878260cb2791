"""Figures to documents and plots. Measures nothing."""
