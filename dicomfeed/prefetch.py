"""Requests in flight: several at a time, their answers in the order in which they were asked.

Owned: the threads and the order. Not owned: what is fetched. A pool without threads does each job when it is
submitted, so that a test in virtual time sees the same reading ahead without a thread.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from queue import SimpleQueue
from typing import Generic, Protocol, TypeVar

Job = TypeVar('Job')
Result = TypeVar('Result')


class Task(Generic[Result]):
    """A job that is done once, and its result. (A future of `concurrent.futures` does more, and loads more.)"""

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work = work
        self._result: Result | None = None
        self._error: BaseException | None = None
        self._is_dropped = False
        self._done = threading.Event()

    def run(self) -> None:
        """Do the job, unless nobody wants it any more."""
        if self._is_dropped:
            return
        try:
            self._result = self._work()
        except BaseException as error:  # pylint: disable=broad-exception-caught   # raised again by result()
            self._error = error
        self._done.set()

    def drop(self) -> None:
        """Nobody wants the result; a job that has begun is done to its end all the same."""
        self._is_dropped = True

    def result(self, timeout: float | None = None) -> Result:
        """Wait for the job, so many seconds at most; its result, or its exception raised. Raises TimeoutError."""
        if not self._done.wait(timeout):
            raise TimeoutError
        if self._error is not None:
            raise self._error
        return self._result  # type: ignore[return-value]


class Pool(Protocol):
    """Something that does jobs. `ahead`: how many may be done or in flight before the first result is taken."""

    @property
    def ahead(self) -> int: ...

    def submit(self, work: Callable[[Job], Result], job: Job) -> Task[Result]:
        """Have the job done; the task holds its result or its exception."""


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

    def submit(self, work: Callable[[Job], Result], job: Job) -> Task[Result]:
        task = Task(lambda: work(job))
        if len(self._threads) < self._workers:
            self._threads.append(threading.Thread(target=self._run, daemon=True, name='dicomfeed'))
            self._threads[-1].start()
        self._queue.put(task.run)
        return task

    def close(self) -> None:
        """Let idle threads end; those in a request end with it."""
        for _ in self._threads:
            self._queue.put(None)
        self._threads = []

    def _run(self) -> None:
        while (run := self._queue.get()) is not None:
            run()


class InlinePool:
    """Does each job when it is submitted, in the thread that submits it."""

    def __init__(self, ahead: int = 0) -> None:
        self.ahead = ahead

    def submit(self, work: Callable[[Job], Result], job: Job) -> Task[Result]:
        task = Task(lambda: work(job))
        task.run()
        return task


def in_order(
    jobs: Iterable[Job], work: Callable[[Job], Result], *, pool: Pool
) -> Generator[tuple[Job, Result], None, None]:
    """Each job with its result, in the order of the jobs; the exception of a job when its turn comes.

    Closing the iterator drops what was not yet begun.
    """
    waiting: deque[tuple[Job, Task[Result]]] = deque()
    try:
        for job in jobs:
            waiting.append((job, pool.submit(work, job)))
            if len(waiting) > pool.ahead:
                yield _taken(waiting)
        while waiting:
            yield _taken(waiting)
    finally:
        for _, task in waiting:
            task.drop()


def _taken(waiting: deque[tuple[Job, Task[Result]]]) -> tuple[Job, Result]:
    job, task = waiting.popleft()
    return job, task.result()
