"""Networks, losses and loops that change weights. Saves nothing."""
