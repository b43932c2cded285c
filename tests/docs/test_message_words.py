"""Messages use the words that help and documentation use."""

from __future__ import annotations

import pytest

from tests.docs.sentences import sentences
from tests.docs.test_help_words import refused_words

SENTENCES = sentences()


@pytest.mark.parametrize('place', SENTENCES)
def test_message_uses_the_right_words(place: str) -> None:
    found = refused_words(SENTENCES[place])
    found.pop('command function', None)  # the body of a request is another thing
    assert found == {}


def test_messages_of_both_packages_were_found() -> None:
    assert 'No DICOM service was named.' in SENTENCES.values()
    assert 'The host refused the connection.' in SENTENCES.values()
