"""People and a bundle to measured figures. Draws nothing."""
