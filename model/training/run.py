"""Keeps the state of a training run that can be stopped and resumed. It knows no data and no loss."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import torch
from torch import nn

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Recipe = TypeVar("Recipe", bound="DataclassInstance")
Report = TypeVar("Report", bound="DataclassInstance")


class TrainingRun(Generic[Recipe, Report]):
    """A training run between two reports: all that must survive for it to go on to the same result."""

    def __init__(
        self, recipe: Recipe, network: nn.Module, optimizer: torch.optim.Optimizer, report_type: type[Report]
    ) -> None:
        self.recipe = recipe
        self.network = network
        self.optimizer = optimizer
        self.reports: list[Report] = []
        self._report_type = report_type

    def state(self) -> dict[str, Any]:
        """Plain values and tensors only, so that it can be read back without running any code."""
        return {
            "recipe": asdict(self.recipe),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "reports": [asdict(report) for report in self.reports],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from `state`. Raises ValueError where it belongs to another recipe."""
        if state["recipe"] != asdict(self.recipe):
            raise ValueError("the checkpoint was made with another recipe")
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.reports = [self._report_type(**report) for report in state["reports"]]
