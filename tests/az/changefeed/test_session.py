"""One run: who hears of trouble, and what it is told."""

from __future__ import annotations

import pytest

from azext_dicomtoken.changefeed.session import Trouble
from dicomfeed.client import Retry
from dicomfeed.delivery import Summary
from dicomfeed.errors import FeedError, HostUnreachable, ServiceTrouble
from tests.feed.world import URL


@pytest.mark.parametrize(
    ('error', 'words'),
    [
        (HostUnreachable('No answer.', url=URL, through_proxy=True), 'No answer. (through the proxy) Trying again'),
        (ServiceTrouble('Busy.', status=503, url=URL, request_id='id-7'), "Busy. (request 'id-7') Trying again"),
        (ServiceTrouble('Busy.', status=503, url=URL, text='Patient'), 'Busy. Trying again in about 3 s.'),
    ],
    ids=['proxy', 'request', 'neither'],
)
def test_retry_is_said_in_the_words_of_the_reader(
    error: FeedError, words: str, caplog: pytest.LogCaptureFixture
) -> None:
    Trouble(Summary()).retrying(Retry(error, 1, 2.5))
    assert words in caplog.text and 'Patient' not in caplog.text


def test_every_retry_counts_and_few_are_said(caplog: pytest.LogCaptureFixture) -> None:
    summary = Summary()
    trouble = Trouble(summary)
    for _ in range(3):
        trouble.retrying(Retry(HostUnreachable('No answer.', url=URL), 1, 1.0))
    assert summary.retries == 3 and len(caplog.records) == 1


def test_event_without_its_metadata_is_said_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    summary = Summary()
    Trouble(summary).poisoned(7)
    assert (
        summary.unreadable == [7] and 'event 7 cannot be read. The event comes without it.' in capsys.readouterr().err
    )


def test_event_that_conditions_cannot_be_tested_on_is_said_to_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    Trouble(Summary(), has_conditions=True).poisoned(7)
    assert 'event 7 cannot be read. The event is left out' in capsys.readouterr().err
