"""What a run says it did."""

from __future__ import annotations

from dicomfeed.summary import Summary


def test_summary_has_the_keys_that_users_see() -> None:
    assert Summary(events=2, seconds=0.5, unreadable=[7], complete_through=9).as_dict() == {
        'format': 'dicom-changefeed-summary/1',
        'events': 2,
        'eventsRead': 0,
        'firstSequence': None,
        'lastSequence': None,
        'completeThrough': 9,
        'settledThrough': None,
        'gaps': 0,
        'retries': 0,
        'unreadable': [7],
        'deletedNotMatched': 0,
        'seconds': 0.5,
        'eventsPerSecond': 4.0,
    }
