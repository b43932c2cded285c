"""What the user is told of each error of the reader, and what is never said."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from azure.cli.core.azclierror import AzCLIError

from azext_dicomtoken._advice import Access, of_core
from azext_dicomtoken._errors import to_az_error
from azext_dicomtoken.commands import raise_az_error
from dicomfeed import errors
from tests.az.identity_endpoint import IdentityEndpoint

URL = 'https://contoso-imaging.dicom.azurehealthcareapis.com/v1/changefeed'


def every(cls: type[errors.FeedError]) -> Iterator[type[errors.FeedError]]:
    yield cls
    for child in cls.__subclasses__():
        yield from every(child)


def an_error(cls: type[errors.FeedError], **more: Any) -> errors.FeedError:
    arguments: dict[str, Any] = {}
    if issubclass(cls, (errors.ServiceError, errors.RequestError)):
        arguments['url'] = URL
    if issubclass(cls, errors.ServiceError):
        arguments['status'] = 418
    if issubclass(cls, errors.TooManyPoisoned):
        arguments['sequences'] = [1]
    if cls is errors.OutputExists:  # which has its own words
        return errors.OutputExists()
    return cls('What went wrong.', **{**arguments, **more})


@pytest.mark.parametrize('cls', list(dict.fromkeys(every(errors.FeedError))), ids=lambda cls: cls.__name__)
def test_every_error_becomes_a_sentence_and_advice(cls: type[errors.FeedError]) -> None:
    what_went_wrong = an_error(cls)
    error = to_az_error(what_went_wrong)
    assert isinstance(error, AzCLIError)
    assert error.error_msg == str(what_went_wrong) and error.recommendations


@pytest.mark.parametrize(
    ('cls', 'name'),
    [
        (errors.HostUnreachable, 'AzureConnectionError'),
        (errors.TlsFailed, 'AzureConnectionError'),
        (errors.Unauthorized, 'UnauthorizedError'),
        (errors.Forbidden, 'ForbiddenError'),
        (errors.NotFound, 'ResourceNotFoundError'),
        (errors.ServiceTrouble, 'AzureInternalError'),
        (errors.CheckpointMismatch, 'InvalidArgumentValueError'),
        (errors.CheckpointDamaged, 'FileOperationError'),
        (errors.OutputError, 'FileOperationError'),
    ],
    ids=lambda value: getattr(value, '__name__', ''),
)
def test_error_has_the_class_that_az_has_for_it(cls: type[errors.FeedError], name: str) -> None:
    assert type(to_az_error(an_error(cls))).__name__ == name


def test_words_of_the_service_are_quoted_and_stay_out_of_the_message_and_of_other_advice() -> None:
    error = to_az_error(an_error(errors.Forbidden, text='Patient\x1b[2J. Ask 1.2.3\n', request_id='id-7\r'))
    assert isinstance(error, AzCLIError) and 'Patient' not in error.error_msg
    assert error.recommendations[:2] == ['The service says: Patient\\x1b[2J. Ask 1.2.3', 'Request ID: id-7']
    assert not [line for line in of_core(error, tenant=None) if 'Patient' in line or 'id-7' in line]


def test_error_that_nobody_expects_comes_through() -> None:
    unexpected = ZeroDivisionError()
    with pytest.raises(ZeroDivisionError) as caught:
        raise_az_error(unexpected)
    assert caught.value is unexpected


@pytest.mark.parametrize(('stdout', 'code', 'words'), [('closed pipe', 0, ''), ('/dev/full', 1, 'No space left')])
def test_output_that_nobody_takes_ends_without_a_traceback(
    stdout: str, code: int, words: str, identity: IdentityEndpoint, az_process: list[str]
) -> None:
    command = [*az_process, 'dicom', 'token', 'issue', '--format', 'token']
    if stdout == 'closed pipe':
        reader, descriptor = os.pipe()
        os.close(reader)
    else:
        descriptor = os.open(stdout, os.O_WRONLY)
    done = subprocess.run(
        command,
        env={**os.environ, **identity.environment},
        stdout=descriptor,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(descriptor)
    assert done.returncode == code and words in done.stderr
    assert 'Traceback' not in done.stderr and 'Exception ignored' not in done.stderr


@pytest.mark.parametrize('cls', [errors.MalformedResponse, errors.NotFound, errors.Forbidden, errors.FeedError])
def test_l19_hint_is_for_the_service_that_was_typed(cls: type[errors.FeedError]) -> None:
    access = Access(check_command='az dicom check-access --service-url https://foo-bar')
    error = to_az_error(an_error(cls), access=access)
    assert isinstance(error, AzCLIError)
    assert error.recommendations[-1] == f'Step by step, for the same service: {access.check_command}'
