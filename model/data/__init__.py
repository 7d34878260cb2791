"""Folders of people to crops, pairs and splits. Measures nothing."""
