"""Gaps: sequence numbers that are missing below an event that is there.

A writer takes its sequence number before it commits, so a gap may still fill; or never, when the writer was rolled
back. A gap is *closed* when nothing can fill it any more, and open until then. Owned: what was read when, and when
that makes a gap closed. Not owned: reading (`sequences.py`).

The bound: a writer's command times out after 30 s (healthcare-shared-components SqlServerDataStoreConfiguration.cs).
A sequence number below that of event E was taken before E's, so no more than 30 s after E's timestamp, and is committed
no more than 30 s later: `settle` seconds, 60 by default, and `SKEW_SECONDS` for clocks that disagree or are set back.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

from dicomfeed.times import Ticks, ticks_from_seconds

if TYPE_CHECKING:
    from dicomfeed.events import Event
    from dicomfeed.queries import Page, SequenceRange

SETTLE_SECONDS = 60.0
"""How long a writer may take, unless said otherwise; here alone, for the reader and its users."""
SKEW_SECONDS = 300.0


def settle_margin(settle_seconds: float) -> Ticks:
    """How much older than the clocks a timestamp has to be to be settled."""
    return ticks_from_seconds(settle_seconds + SKEW_SECONDS)


class Stretch(NamedTuple):
    """Sequence numbers `after + 1` to `through`, the events read there, and when that was asked (as in `Page`).

    A sequence number without an event was shown empty by a request that began at `asked_monotonic`, when the earlier
    of the two clocks said `asked_ticks`.
    """

    after: int
    through: int
    events: list[Event]
    asked_monotonic: float
    asked_ticks: Ticks
    answered_monotonic: float

    @classmethod
    def of_page(cls, query: SequenceRange, page: Page) -> Stretch:
        """The stretch that a page by sequence covers."""
        return cls(
            query.after, query.through, page.events, page.asked_monotonic, page.asked_ticks, page.answered_monotonic
        )


class Gap(NamedTuple):
    """Missing sequence numbers `first` to `last` below the event `above`, with the oldest evidence for their absence.

    `seen_monotonic` is when the gap and the event above it had both been seen.
    """

    first: int
    last: int
    above: Event
    asked_monotonic: float
    asked_ticks: Ticks
    seen_monotonic: float

    def is_settled(self, settle_seconds: float) -> bool:
        """Whether the event above was settled when the gap was last asked for."""
        return self.asked_ticks - self.above.ticks > settle_margin(settle_seconds)


class Watch:
    """Since when this reader has seen each open gap, on its own monotonic clock."""

    def __init__(self) -> None:
        self._since: list[tuple[int, int, float]] = []

    def see(self, gap: Gap) -> None:
        """Remember the gap from the first time it is shown; what is left of one keeps its time."""
        if self._seen(gap) is None:
            self._since.append((gap.first, gap.last, gap.seen_monotonic))

    def is_outwaited(self, gap: Gap, settle_seconds: float) -> bool:
        """Whether the gap was asked for after it had been watched for `settle_seconds`."""
        since = self._seen(gap)
        return since is not None and gap.asked_monotonic >= since + settle_seconds

    def forget_through(self, sequence: int) -> None:
        """Drop what lies at or below the cursor."""
        self._since = [seen for seen in self._since if seen[1] > sequence]

    def _seen(self, gap: Gap) -> float | None:
        return next((since for first, last, since in self._since if first <= gap.first and gap.last <= last), None)


def contents(stretches: Iterable[Stretch], *, above: Event | None = None) -> tuple[list[Event], list[Gap]]:
    """The events of stretches that adjoin, and the gaps between and before them.

    Sequence numbers after the last event are a gap below `above`; without one they are none yet, and left out.
    """
    events: list[Event] = []
    gaps: list[Gap] = []
    evidence: list[Stretch] = []
    expected: int | None = None  # the lowest sequence number not accounted for yet
    for stretch in stretches:
        expected = stretch.after + 1 if expected is None else expected
        evidence.append(stretch)
        for event in stretch.events:
            if event.sequence > expected:
                gaps.append(_gap(expected, event.sequence - 1, event, evidence))
            events.append(event)
            expected = event.sequence + 1
            evidence = [stretch]
    if above is not None and expected is not None and expected <= evidence[-1].through:
        gaps.append(_gap(expected, evidence[-1].through, above, evidence))
    return events, gaps


def rest_after_events(stretch: Stretch) -> list[Stretch]:
    """What a stretch with events covers above the last of them: no gap until something is seen above it."""
    end = stretch.events[-1].sequence
    return [] if end == stretch.through else [stretch._replace(after=end, events=[])]


def _gap(first: int, last: int, above: Event, evidence: list[Stretch]) -> Gap:
    return Gap(
        first,
        last,
        above,
        asked_monotonic=min(stretch.asked_monotonic for stretch in evidence),
        asked_ticks=min(stretch.asked_ticks for stretch in evidence),
        seen_monotonic=max(stretch.answered_monotonic for stretch in evidence),
    )
