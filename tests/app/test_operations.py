import pytest

from app.operations import Readiness

pytestmark = pytest.mark.anyio


async def test_readiness_is_asked_once_while_fresh_and_at_once_after_a_failure() -> None:
    asked, faults = [], [RuntimeError("not yet")]

    async def check() -> None:
        asked.append(1)
        if faults:
            raise faults.pop()

    readiness = Readiness(check, fresh=60)
    with pytest.raises(RuntimeError, match="not yet"):
        await readiness.check()
    for _ in range(3):
        await readiness.check()
    assert len(asked) == 2
    stale = Readiness(check, fresh=0)
    for _ in range(3):
        await stale.check()
    assert len(asked) == 5
