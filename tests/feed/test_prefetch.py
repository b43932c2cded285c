"""Requests in flight, and their answers in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from dicomfeed.prefetch import InlinePool, Pool, ThreadPool, in_order


@pytest.fixture(params=[1, 2, 8], ids=lambda workers: f'{workers} workers')
def threads(request: pytest.FixtureRequest) -> Iterator[ThreadPool]:
    with closing(ThreadPool(request.param)) as pool:
        yield pool


@pytest.fixture(
    params=[InlinePool(), InlinePool(4), ThreadPool(1), ThreadPool(8)],
    ids=['inline', 'inline ahead', 'one thread', 'eight threads'],
)
def pool(request: pytest.FixtureRequest) -> Iterator[Pool]:
    pool: Pool = request.param
    yield pool
    if isinstance(pool, ThreadPool):
        pool.close()


def test_results_come_in_the_order_of_the_jobs(pool: Pool) -> None:
    assert list(in_order(range(100), lambda job: job * job, pool=pool)) == [(job, job * job) for job in range(100)]


def test_nothing_to_do_gives_nothing(pool: Pool) -> None:
    assert list(in_order(iter(()), str, pool=pool)) == []


def test_slow_first_job_holds_back_the_results_not_the_work() -> None:
    others_done = threading.Barrier(4)  # the first job ends only when three others are at work beside it

    def work(job: int) -> int:
        if job < 4:
            others_done.wait(timeout=10)
        return job

    with closing(ThreadPool(4)) as pool:
        assert [result for _, result in in_order(range(8), work, pool=pool)] == list(range(8))


def test_no_more_is_begun_than_the_pool_reads_ahead() -> None:
    taken: list[int] = []

    def jobs() -> Iterator[int]:
        for job in range(100):
            taken.append(job)
            yield job

    with closing(in_order(jobs(), str, pool=InlinePool(4))) as results:
        next(results)
        assert len(taken) == 5
        next(results)
        assert len(taken) == 6


@pytest.mark.parametrize(('workers', 'ahead'), [(1, 1), (2, 4), (8, 16)])
def test_thread_pool_reads_ahead_of_its_workers(workers: int, ahead: int) -> None:
    assert ThreadPool(workers).ahead == ahead


def test_failure_comes_when_its_turn_does(pool: Pool) -> None:
    def work(job: int) -> int:
        if job == 3:
            raise LookupError(job)
        return job

    results = in_order(range(10), work, pool=pool)
    assert [next(results)[1] for _ in range(3)] == [0, 1, 2]
    with pytest.raises(LookupError):
        next(results)


def test_closed_iterator_drops_what_was_not_begun() -> None:
    begun: list[int] = []
    go_on = threading.Event()

    def work(job: int) -> int:
        begun.append(job)
        if job > 0:
            go_on.wait(timeout=10)
        return job

    with closing(ThreadPool(2)) as pool:
        results = in_order(range(100), work, pool=pool)
        next(results)
        results.close()
        go_on.set()
        pool.submit(str, 0).result(timeout=10)
    assert len(begun) <= 3


def test_thread_that_hangs_does_not_hold_up_the_exit(threads: ThreadPool) -> None:
    daemons: list[bool] = [
        threads.submit(lambda _: threading.current_thread().daemon, job).result(timeout=10) for job in range(4)
    ]
    assert all(daemons)


def test_closed_pool_lets_its_threads_end() -> None:
    pool = ThreadPool(4)
    ours = {pool.submit(lambda _: threading.current_thread(), job).result(timeout=10) for job in range(8)}
    pool.close()
    for thread in ours:
        thread.join(timeout=10)
    assert not any(thread.is_alive() for thread in ours)


def test_pool_has_no_more_threads_than_workers(threads: ThreadPool) -> None:
    names = {threads.submit(lambda _: threading.get_ident(), job).result(timeout=10) for job in range(40)}
    assert len(names) <= 8
