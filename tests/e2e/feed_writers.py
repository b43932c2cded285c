"""Writers of a busy service: several at once, who commit late, or never, and burn sequence numbers."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.emulator.event_json import Instance
from tests.emulator.store import FeedStore
from tests.emulator.writers import Writer

_BURNED = (1, 1, 3, 120, 10_000)  # a retry, a roll-back, a page, a failover


@contextmanager
def writing(store: FeedStore, *, writers: int, latest_commit_seconds: float, seed: int) -> Iterator[None]:
    """Writers write as long as the context lasts; each ends its transaction after at most `latest_commit_seconds`.

    One that could not, because the machine is busy, rolls back after twice that time.
    """
    end = threading.Event()
    threads = [
        threading.Thread(
            target=_write,
            args=(store, random.Random(seed + number), latest_commit_seconds, end),
            name=f'writer {number}',
            daemon=True,
        )
        for number in range(writers)
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join()


def _write(store: FeedStore, chance: random.Random, latest_commit_seconds: float, end: threading.Event) -> None:
    own: list[Instance] = []
    while not end.wait(chance.uniform(0, 0.3)):
        if chance.random() < 0.05:
            store.burn(chance.choice(_BURNED))
            continue
        writer = _begun(store, chance, own)
        begun = time.monotonic()
        _spend(chance, latest_commit_seconds, writer)
        if chance.random() < 0.15 or time.monotonic() > begun + 2 * latest_commit_seconds:
            writer.roll_back()
        elif writer.commit() and writer.action == 'Create':
            own += writer.instances


def _begun(store: FeedStore, chance: random.Random, own: list[Instance]) -> Writer:
    """A writer of any kind; changes are made to what the same thread has stored."""
    kind = chance.random() if own else 1.0
    if kind < 0.1:
        study = chance.choice(own).study
        own[:] = [instance for instance in own if instance.study != study]
        return store.begin_delete(study)
    if kind < 0.2:
        return store.begin_update(chance.choice(own).study)
    if kind < 0.6:
        beside = chance.choice(own)
        return store.begin_create(beside._replace(sop=f'{beside.series}.{chance.randrange(2, 10**9)}'))
    return store.begin_create()


def _spend(chance: random.Random, most_seconds: float, writer: Writer) -> None:
    """Let time go by before the first number is taken and after each: mostly little, often as much as there may be."""
    seconds = most_seconds if chance.random() < 0.2 else most_seconds * chance.random() ** 3
    before = seconds * chance.random() ** 3
    writer.take_clock()
    time.sleep(before)
    for _ in writer.instances:
        writer.take_sequence(1)
        time.sleep((seconds - before) / len(writer.instances))
