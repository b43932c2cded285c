"""The change feed of the DICOM service in Azure Health Data Services, read without losing or doubling an event.

Standard library and `requests`, nothing of az: it serves a notebook or a worker as well as the command line. A page
comes from a `FeedClient`; a `Feed` is what the readers ask; `SequenceReader` and `WindowReader` are iterators of lists
of events; a `Delivery` writes them, with a checkpoint where each event is to be written exactly once.

    client = FeedClient('https://WORKSPACE-SERVICE.dicom.azurehealthcareapis.com', tokens, transport=HttpTransport())
    feed = Feed(client)
    reader = SequenceReader(feed, cursor=0, pool=ThreadPool(8))
    for events in reader.read(feed.newest().sequence, at_gap=AtGap.PASS):
        ...
"""

from __future__ import annotations

from dicomfeed.checkpoint import Checkpoint, CheckpointWriter, Question
from dicomfeed.client import FeedClient, Retry
from dicomfeed.credential import AccessToken, TokenSource
from dicomfeed.delivery import Delivery, Summary, open_output
from dicomfeed.errors import FeedError
from dicomfeed.events import Event
from dicomfeed.feed import Feed
from dicomfeed.filters import Filters
from dicomfeed.prefetch import InlinePool, ThreadPool
from dicomfeed.sequences import AtGap, SequenceReader
from dicomfeed.sinks import FileSink, StreamSink
from dicomfeed.starts import newest_events, sequence_before, sequence_before_tail, sequence_now
from dicomfeed.transport import HttpTransport
from dicomfeed.windows import WindowReader

__all__ = [
    'AccessToken',
    'AtGap',
    'Checkpoint',
    'CheckpointWriter',
    'Delivery',
    'Event',
    'Feed',
    'FeedClient',
    'FeedError',
    'FileSink',
    'Filters',
    'HttpTransport',
    'InlinePool',
    'Question',
    'Retry',
    'SequenceReader',
    'StreamSink',
    'Summary',
    'ThreadPool',
    'TokenSource',
    'WindowReader',
    'newest_events',
    'open_output',
    'sequence_before',
    'sequence_before_tail',
    'sequence_now',
]
