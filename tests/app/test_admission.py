import numpy as np
import pytest

from app.admission import Admission, DrainingError, OverloadedError, Quota, RateLimitedError


def refuse_one_more(admission: Admission) -> None:
    with pytest.raises(OverloadedError), admission.admit(0):
        pytest.fail("too many requests")
    raise RuntimeError("a fault")


def test_what_left_makes_room_however_it_left() -> None:
    admission = Admission(max_requests=2, max_bytes=100)
    with admission.admit(60):
        with pytest.raises(OverloadedError), admission.admit(41):
            pytest.fail("too many bytes")
        with pytest.raises(RuntimeError, match="a fault"), admission.admit(40):
            refuse_one_more(admission)
        assert admission.in_flight == 1
        with admission.admit(40):
            assert admission.in_flight == 2
    assert admission.in_flight == 0
    with admission.admit(1000):
        pass
    admission.draining = True
    with pytest.raises(DrainingError), admission.admit(1):
        pytest.fail("draining")


def test_a_quota_is_a_minutes_worth_and_then_even() -> None:
    """Against counting: a stock of `per_minute`, refilled evenly."""
    rng, now, stock = np.random.default_rng(0), 0.0, 30.0
    quota = Quota(30, lambda: now)
    granted = 0
    for gap in rng.exponential(1.0, 2000):
        now, stock = now + gap, min(30, stock + gap / 2)
        if stock > 1 - 1e-6:
            quota.take("anna")
            granted, stock = granted + 1, stock - 1
            continue
        with pytest.raises(RateLimitedError) as caught:
            quota.take("anna")
        assert 0 <= int(caught.value.headers["Retry-After"]) - (1 - stock) * 2 <= 1
    assert granted == pytest.approx(30 + now / 2, abs=2)
    quota.take("berta")
