"""Trains a network by a recipe on a folder of identities and saves it as a bundle."""

from collections.abc import Mapping

import terminal
from recipes import finetune, transfer, tutorial

RECIPES: Mapping[str, terminal.Command] = {"tutorial": tutorial, "transfer": transfer, "finetune": finetune}

if __name__ == "__main__":
    with terminal.one_line_errors():
        terminal.run_command(__doc__ or "", RECIPES)
