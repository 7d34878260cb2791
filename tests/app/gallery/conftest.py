"""Galleries on both stores: a file, and a PostgreSQL server of the tests' own."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from galleries import Galleries
from postgres_cluster import Cluster

_NUMBERS = itertools.count()


@pytest.fixture(params=["sqlite", "postgres"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], str]:
    """Gives the URL of a new, empty database."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path / f'gallery{next(_NUMBERS)}.db'}"
    cluster: Cluster = request.getfixturevalue("cluster")
    return lambda: cluster.create(f"gallery{next(_NUMBERS)}")


@pytest.fixture
def galleries(new_url: Callable[[], str]) -> Iterator[Galleries]:
    made = Galleries(new_url())
    yield made
    made.close()
