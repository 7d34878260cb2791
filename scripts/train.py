"""Trains a network by a recipe on a folder of identities and saves it as a bundle; --folds measures instead."""

import argparse
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import terminal
from recipes import finetune, transfer, tutorial

from model.data.people import DataError
from model.training.transfer import TransferRecipe
from model.training.tutorial import Recipe

RECIPES: dict[str, tuple[Any, Callable[[argparse.Namespace, Any], None]]] = {
    "tutorial": (Recipe(), tutorial.run),
    "transfer": (TransferRecipe(), transfer.run),
    "finetune": (finetune.DEFAULTS, finetune.run),
}
"""Each recipe with what carries it out."""


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", choices=RECIPES, required=True)
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder of pictures a person")
    parser.add_argument("--init", help="transfer, finetune: the bundle to start from")
    parser.add_argument("--keep-tuned", action="store_true", help="finetune: save the tuned weights even if worse")
    parser.add_argument("--out", type=Path, help="folder of the new bundle (default: runs/RECIPE)")
    parser.add_argument("--folds", type=int, help="tutorial: measure by people-disjoint folds; saves no bundle")
    parser.add_argument("--credit", action="append", default=[], help="a licence or credit to put into the bundle")
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    for name, (kind, defaults) in _flags().items():
        parser.add_argument("--" + name.replace("_", "-"), type=kind, help=f"default: {defaults}")
    return parser.parse_args()


def _flags() -> dict[str, tuple[type, str]]:
    """Every field of every recipe: its type, and its defaults in words."""
    flags: dict[str, tuple[type, str]] = {}
    for recipe, (default, _) in RECIPES.items():
        for field in fields(default):
            if field.name != "name":
                kind, before = type(field.default), flags.get(field.name, (None, ""))[1]
                flags[field.name] = (kind, ", ".join(filter(None, [before, f"{field.default} ({recipe})"])))
    return flags


def main() -> None:
    options = parse()
    default, run = RECIPES[options.recipe]
    given = {name: value for name in _flags() if (value := vars(options)[name]) is not None}
    unknown = given.keys() - {field.name for field in fields(default)}
    if unknown:
        raise DataError(f"the recipe {options.recipe} has no {', '.join(sorted(unknown))}")
    options.out = options.out or Path("runs") / options.recipe
    if options.out.exists() and options.folds is None:
        raise DataError(f"{options.out} exists already: choose another --out or remove it")
    run(options, replace(default, **given))


if __name__ == "__main__":
    with terminal.one_line_errors():
        main()
