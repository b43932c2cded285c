"""The change feed of the DICOM service in Azure Health Data Services, read without losing or doubling an event.

Standard library and `requests`, nothing of az: it serves a notebook or a worker as well as the command line. A page
comes from a `FeedClient`; a `Feed` is what the readers ask; `SequenceReader` and `WindowReader` are iterators of lists
of events; a `Delivery` writes them, with a checkpoint where each event is to be written exactly once.

    client = FeedClient('https://WORKSPACE-SERVICE.dicom.azurehealthcareapis.com', tokens, transport=HttpTransport())
    feed = Feed(client)
    reader = SequenceReader(feed, cursor=0, pool=ThreadPool(8))
    for events in reader.read(feed.newest().sequence, at_gap=AtGap.PASS):
        ...

The files are in three layers, each of which knows only itself and those above it in this list:

    protocol    trust  errors  times  events  queries  credential  transport  client
    reading     keywords  tags  slices  spans  wildcards  matching  conditions  attributes
                filters  gaps  choice  poison  metadata  prefetch  feed  sequences  starts  windows
    delivery    counts  stable  files  checkpoint  sinks  summary  delivery

The package `dicomfeed.spark` is beside them: the feed as a source of Apache Spark, which nothing here loads.

A name is loaded when it is first asked for, and with it what it needs: who imports one file loads no other for it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dicomfeed.attributes import Fields, parse_fields
    from dicomfeed.checkpoint import (
        Checkpoint,
        CheckpointWriter,
        Match,
        Output,
        Question,
        load_checkpoint,
        lock_checkpoint,
        save_checkpoint,
    )
    from dicomfeed.client import FeedClient, Retry
    from dicomfeed.conditions import Conditions, parse_conditions, read_conditions
    from dicomfeed.counts import Counts
    from dicomfeed.credential import AccessToken, TokenSource
    from dicomfeed.delivery import Delivery, open_output
    from dicomfeed.errors import (
        BadRequest,
        CheckpointDamaged,
        CheckpointError,
        CheckpointLocked,
        CheckpointMismatch,
        ConnectionFailed,
        FeedError,
        FeedRestored,
        FileError,
        Forbidden,
        HostUnreachable,
        HtmlResponse,
        MalformedResponse,
        NotACheckpoint,
        NotFound,
        OutputChanged,
        OutputError,
        OutputExists,
        OutputLocked,
        ProxySettingWrong,
        Redirected,
        RequestError,
        ServiceError,
        ServiceTrouble,
        SignInUnavailable,
        StartAboveEnd,
        TlsFailed,
        TooManyPoisoned,
        Unauthorized,
    )
    from dicomfeed.events import Event, Verdict
    from dicomfeed.feed import AtOnce, Feed
    from dicomfeed.filters import Filters
    from dicomfeed.gaps import SETTLE_SECONDS
    from dicomfeed.prefetch import InlinePool, ThreadPool
    from dicomfeed.queries import Page, SequenceRange, TimeSlice
    from dicomfeed.sequences import AtGap, SequenceReader
    from dicomfeed.sinks import FileSink, StreamSink
    from dicomfeed.stable import Snapshot, StableStudies
    from dicomfeed.starts import TailReader, sequence_before, sequence_before_tail, sequence_now
    from dicomfeed.summary import Summary
    from dicomfeed.tags import FieldRefused
    from dicomfeed.times import Clock, format_timestamp, parse_duration, parse_time, parse_timestamp
    from dicomfeed.transport import HttpTransport
    from dicomfeed.windows import WindowReader

__all__ = [
    'AccessToken',
    'AtGap',
    'AtOnce',
    'BadRequest',
    'Checkpoint',
    'CheckpointDamaged',
    'CheckpointError',
    'CheckpointLocked',
    'CheckpointMismatch',
    'CheckpointWriter',
    'Clock',
    'Conditions',
    'ConnectionFailed',
    'Counts',
    'Delivery',
    'Event',
    'Feed',
    'FeedClient',
    'FeedError',
    'FeedRestored',
    'FieldRefused',
    'Fields',
    'FileError',
    'FileSink',
    'Filters',
    'Forbidden',
    'HostUnreachable',
    'HtmlResponse',
    'HttpTransport',
    'InlinePool',
    'MalformedResponse',
    'Match',
    'NotACheckpoint',
    'NotFound',
    'Output',
    'OutputChanged',
    'OutputError',
    'OutputExists',
    'OutputLocked',
    'Page',
    'ProxySettingWrong',
    'Question',
    'Redirected',
    'RequestError',
    'Retry',
    'SETTLE_SECONDS',
    'SequenceRange',
    'SequenceReader',
    'ServiceError',
    'ServiceTrouble',
    'SignInUnavailable',
    'Snapshot',
    'StableStudies',
    'StartAboveEnd',
    'StreamSink',
    'Summary',
    'TailReader',
    'ThreadPool',
    'TimeSlice',
    'TlsFailed',
    'TokenSource',
    'TooManyPoisoned',
    'Unauthorized',
    'Verdict',
    'WindowReader',
    'format_timestamp',
    'load_checkpoint',
    'lock_checkpoint',
    'open_output',
    'parse_conditions',
    'parse_duration',
    'parse_fields',
    'parse_time',
    'parse_timestamp',
    'read_conditions',
    'save_checkpoint',
    'sequence_before',
    'sequence_before_tail',
    'sequence_now',
]

# What `__getattr__` imports, by file; a test compares it with the two lists above.
_MODULES = {
    'attributes': 'Fields parse_fields',
    'checkpoint': ('Checkpoint CheckpointWriter Match Output Question load_checkpoint lock_checkpoint save_checkpoint'),
    'client': 'FeedClient Retry',
    'conditions': 'Conditions parse_conditions read_conditions',
    'counts': 'Counts',
    'credential': 'AccessToken TokenSource',
    'delivery': 'Delivery open_output',
    'errors': (
        'BadRequest CheckpointDamaged CheckpointError CheckpointLocked CheckpointMismatch ConnectionFailed FeedError '
        'FeedRestored FileError Forbidden HostUnreachable HtmlResponse MalformedResponse NotACheckpoint NotFound '
        'OutputChanged OutputError OutputExists OutputLocked ProxySettingWrong Redirected RequestError ServiceError '
        'ServiceTrouble SignInUnavailable StartAboveEnd TlsFailed TooManyPoisoned Unauthorized'
    ),
    'events': 'Event Verdict',
    'feed': 'AtOnce Feed',
    'filters': 'Filters',
    'gaps': 'SETTLE_SECONDS',
    'prefetch': 'InlinePool ThreadPool',
    'queries': 'Page SequenceRange TimeSlice',
    'sequences': 'AtGap SequenceReader',
    'sinks': 'FileSink StreamSink',
    'stable': 'Snapshot StableStudies',
    'starts': 'TailReader sequence_before sequence_before_tail sequence_now',
    'summary': 'Summary',
    'tags': 'FieldRefused',
    'times': 'Clock format_timestamp parse_duration parse_time parse_timestamp',
    'transport': 'HttpTransport',
    'windows': 'WindowReader',
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
    value = getattr(import_module(f'{__name__}.{_HOMES[name]}'), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*globals(), *__all__]
