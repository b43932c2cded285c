"""Requests in flight: several at a time, their answers in the order in which they were asked.

Owned: the threads and the order. Not owned: what is fetched. A pool without threads does each job when it is
submitted, so that a test in virtual time sees the same reading ahead without a thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Protocol, TypeVar

Job = TypeVar('Job')
Result = TypeVar('Result')


class Pool(Protocol):
    """Something that does jobs. `ahead`: how many may be done or in flight before the first result is taken."""

    @property
    def ahead(self) -> int: ...

    def submit(self, work: Callable[[Job], Result], job: Job) -> Future[Result]:
        """Have the job done; the future holds its result or its exception."""


class ThreadPool:
    """`workers` threads (1 or more). They are daemons: a request that hangs never holds up the exit."""

    def __init__(self, workers: int) -> None:
        self._workers = workers
        self._threads: list[threading.Thread] = []
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    @property
    def ahead(self) -> int:
        """Twice the workers, so that one slow page does not idle the others; one worker reads one page ahead."""
        return 1 if self._workers == 1 else 2 * self._workers

    def submit(self, work: Callable[[Job], Result], job: Job) -> Future[Result]:
        future: Future[Result] = Future()
        if len(self._threads) < self._workers:
            self._threads.append(threading.Thread(target=self._run, daemon=True, name='dicomfeed'))
            self._threads[-1].start()
        self._queue.put(lambda: _do(future, work, job))
        return future

    def close(self) -> None:
        """Let idle threads end; those in a request end with it."""
        for _ in self._threads:
            self._queue.put(None)
        self._threads = []

    def _run(self) -> None:
        while (task := self._queue.get()) is not None:
            task()


class InlinePool:
    """Does each job when it is submitted, in the thread that submits it."""

    def __init__(self, ahead: int = 0) -> None:
        self.ahead = ahead

    def submit(self, work: Callable[[Job], Result], job: Job) -> Future[Result]:
        future: Future[Result] = Future()
        _do(future, work, job)
        return future


def in_order(
    jobs: Iterable[Job], work: Callable[[Job], Result], *, pool: Pool
) -> Generator[tuple[Job, Result], None, None]:
    """Each job with its result, in the order of the jobs; the exception of a job when its turn comes.

    Closing the iterator drops what was not yet begun.
    """
    waiting: deque[tuple[Job, Future[Result]]] = deque()
    try:
        for job in jobs:
            waiting.append((job, pool.submit(work, job)))
            if len(waiting) > pool.ahead:
                yield _taken(waiting)
        while waiting:
            yield _taken(waiting)
    finally:
        for _, future in waiting:
            future.cancel()


def _taken(waiting: deque[tuple[Job, Future[Result]]]) -> tuple[Job, Result]:
    job, future = waiting.popleft()
    return job, future.result()


def _do(future: Future[Result], work: Callable[[Job], Result], job: Job) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(work(job))
    except BaseException as error:  # pylint: disable=broad-exception-caught   # raised again by result()
        future.set_exception(error)
