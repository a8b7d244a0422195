"""The shop's rules, without clock, CPU or socket."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.shop.model import FAILED, KEPT_REQUEST_BYTES, KEPT_REQUESTS, OK, BoundedQueue, RetryBuffer, Shop
from lab.shop.settings import Settings


def overload(shop: Shop, *, rejections: int, at: float = 0.0) -> None:
    while shop.admit(at):
        pass
    for _ in range(rejections - 1):
        shop.admit(at)


def empty(shop: Shop) -> None:
    while shop.queue.inside:
        shop.leave()


@given(st.lists(st.booleans()), st.integers(1, 4), st.integers(0, 5))
def test_the_queue_never_holds_more_than_its_capacity(moves: list[bool], workers: int, waiting: int) -> None:
    queue = BoundedQueue(workers=workers, waiting=waiting)
    for enters in moves:
        before = queue.inside
        if enters:
            assert queue.try_enter() == (before < workers + waiting)
        elif before:
            queue.leave()
        assert 0 <= queue.inside <= workers + waiting


def test_leaving_an_empty_queue_is_an_error() -> None:
    with pytest.raises(RuntimeError, match="empty"):
        BoundedQueue(workers=1, waiting=0).leave()


def test_one_rejection_more_than_the_limit_within_the_window_makes_the_buffer_corrupt() -> None:
    buffer = RetryBuffer(limit=3, window_seconds=5)
    for now in (0.0, 1.0, 4.9):
        buffer.add(now)
    assert not buffer.corrupt
    buffer.add(4.99)
    assert buffer.corrupt


def test_rejections_spread_wider_than_the_window_do_no_harm() -> None:
    buffer = RetryBuffer(limit=3, window_seconds=5)
    for now in range(0, 1000, 2):
        buffer.add(float(now))
    assert not buffer.corrupt


@given(st.lists(st.floats(0, 100), min_size=1, max_size=60).map(sorted), st.integers(1, 10))
def test_the_buffer_is_corrupt_exactly_if_some_window_saw_more_rejections_than_the_limit(
    times: list[float], limit: int
) -> None:
    buffer = RetryBuffer(limit=limit, window_seconds=5)
    for now in times:
        buffer.add(now)
    assert buffer.corrupt == any(
        sum(last - 5 < earlier for earlier in times[: place + 1]) > limit for place, last in enumerate(times)
    )


def test_a_corrupt_buffer_leaks_but_only_up_to_its_bound() -> None:
    buffer = RetryBuffer(limit=1, window_seconds=5)
    for _ in range(2):
        buffer.add(0.0)
    assert buffer.kept_bytes == 0
    buffer.add(0.0)
    assert buffer.kept_bytes == KEPT_REQUEST_BYTES
    for _ in range(10 * KEPT_REQUESTS):
        buffer.add(0.0)
    assert buffer.kept_bytes == KEPT_REQUESTS * KEPT_REQUEST_BYTES <= 8e6


def test_a_healthy_server_answers_200_at_the_plain_cost() -> None:
    job = Shop(Settings(cost_cpu_ms=6)).next_job()
    assert job.cpu_seconds == pytest.approx(0.006)
    assert job.status == OK


def test_a_sick_server_stays_sick_long_after_the_load_is_gone() -> None:
    settings = Settings(sick_rejections=40, cost_cpu_ms=6, sick_cost_factor=5)
    shop = Shop(settings)
    overload(shop, rejections=41)
    assert shop.sick
    empty(shop)
    for hour in range(1, 100):
        assert shop.admit(hour * 3600.0)
        assert shop.next_job().cpu_seconds == pytest.approx(0.030)
        shop.leave()
    assert shop.sick
    assert not Shop(settings).sick, "a restart heals it"


def test_a_sick_server_fails_its_share_of_requests_at_any_rate() -> None:
    shop = Shop(Settings(sick_failure_share=0.35))
    overload(shop, rejections=41)
    statuses = [shop.next_job().status for _ in range(10_000)]
    assert 0.33 < statuses.count(FAILED) / len(statuses) < 0.37
    assert set(statuses) == {OK, FAILED}


def test_a_release_with_a_fault_fails_its_share_though_the_server_is_well() -> None:
    shop = Shop(Settings(failure_share=0.8))
    statuses = [shop.next_job().status for _ in range(10_000)]
    assert not shop.sick
    assert 0.78 < statuses.count(FAILED) / len(statuses) < 0.82


def test_the_same_seed_and_name_fail_the_same_requests_and_another_name_does_not() -> None:
    def statuses(settings: Settings) -> list[int]:
        shop = Shop(settings)
        overload(shop, rejections=41)
        return [shop.next_job().status for _ in range(200)]

    first = statuses(Settings(seed=7, name="shop-a"))
    assert first == statuses(Settings(seed=7, name="shop-a"))
    assert first != statuses(Settings(seed=8, name="shop-a"))
    assert first != statuses(Settings(seed=7, name="shop-b"))


def test_health_counts_when_work_starts_not_when_the_request_came() -> None:
    shop = Shop(Settings(sick_rejections=1, queue_length=3, cost_cpu_ms=1, sick_cost_factor=4))
    overload(shop, rejections=2)
    assert shop.next_job().cpu_seconds == pytest.approx(0.004), "it waited since before the illness"
