"""The service: HTTP in, JSON out. Touches no tensor."""
