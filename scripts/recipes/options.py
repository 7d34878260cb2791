"""Turns the flags of a training run into typed options and a recipe. It trains nothing."""

import argparse
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from model.data.people import DataError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Recipe = TypeVar("Recipe", bound="DataclassInstance")


@dataclass(frozen=True)
class RunOptions:
    """Where the pictures are, where the bundle goes, whose credits it carries, and whether an earlier run goes on."""

    data: Path
    out: Path
    credit: tuple[str, ...] = ()
    resume: bool = False


def add_flags(parser: argparse.ArgumentParser, defaults: "DataclassInstance", out: Path) -> None:
    """Flags of RunOptions, and one for each field of the recipe."""
    parser.add_argument("--data", type=Path, required=True, help="folder with one sub-folder of pictures a person")
    parser.add_argument("--out", type=Path, default=out, help=f"folder of the new bundle (default: {out})")
    parser.add_argument("--credit", action="append", default=[], help="a licence or credit to put into the bundle")
    parser.add_argument("--resume", action="store_true", help="continue a run that was stopped")
    recipe = parser.add_argument_group("recipe")
    for name in _fields(defaults):
        default = getattr(defaults, name)
        flag = "--" + name.replace("_", "-")
        recipe.add_argument(flag, type=type(default), default=default, help=f"default: {default}")


def run_options(given: argparse.Namespace) -> RunOptions:
    """Raises DataError where the bundle's folder exists already: no hour of training ends in that."""
    if given.out.exists():
        raise DataError(f"{given.out} exists already: choose another --out or remove it")
    return RunOptions(given.data, given.out, tuple(given.credit), given.resume)


def recipe_of(given: argparse.Namespace, defaults: Recipe) -> Recipe:
    return replace(defaults, **{name: getattr(given, name) for name in _fields(defaults)})


def _fields(recipe: "DataclassInstance") -> list[str]:
    return [field.name for field in fields(recipe) if field.name != "name"]
