"""From what went wrong to what az says of it: one table, each row with advice.

The reader's messages hold nothing secret, so they become az's messages, which go to its telemetry. What the service
said of itself is only quoted in the advice, which goes nowhere else. Advice that depends on caller and service is in
`_advice`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from azure.cli.core import azclierror
from azure.cli.core.azclierror import AzCLIError

from azext_dicomtoken import _advice
from azext_dicomtoken._advice import LIST_SERVICES, Access
from dicomfeed import errors

CHECK_ACCESS = f'Step by step, for the same service: {Access.check_command}'


@contextmanager
def explained(access: Callable[[], Access], *, files: Sequence[str] = ()) -> Iterator[None]:
    """What the reader raises inside comes out as az's error, with advice for caller, service and files."""
    try:
        yield
    except errors.FileError as error:
        raise _from_file_error(error, files) from error
    except errors.FeedError as error:
        raise to_az_error(error, access=access()) from error


def to_az_error(error: Exception, *, access: Access = Access()) -> Exception:
    """az's error for one of the reader's; any other comes back as it is."""
    if isinstance(error, errors.FileError):
        return _from_file_error(error, ())
    return _from_feed_error(error, access) if isinstance(error, errors.FeedError) else error


def _from_feed_error(error: errors.FeedError, access: Access) -> AzCLIError:
    quotes = _advice.quoted(error.text, error.request_id) if isinstance(error, errors.ServiceError) else []
    kind, advice = next(row for cls in type(error).__mro__ if (row := _ROWS.get(cls)))
    lines = [*advice(error, access), CHECK_ACCESS] if callable(advice) else list(advice)
    check = CHECK_ACCESS.replace(Access.check_command, access.check_command)
    lines = [check if line == CHECK_ACCESS else line for line in lines]
    return kind(str(error), recommendation=quotes + _advice.by_sentence(lines))


def _from_file_error(error: errors.FileError, files: Sequence[str]) -> AzCLIError:
    from azext_dicomtoken._file_advice import file_advice

    mismatch = isinstance(error, errors.CheckpointMismatch)
    kind = azclierror.InvalidArgumentValueError if mismatch else azclierror.FileOperationError
    return kind(str(error), recommendation=_advice.by_sentence(file_advice(error, files)))


_AdviceFor = tuple[str, ...] | Callable[[Any, Access], _advice.Advice]

# From a class of the reader to az's class and the advice; the nearest ancestor counts.
_ROWS: dict[type, tuple[type[AzCLIError], _AdviceFor]] = {
    errors.FeedError: (azclierror.AzureResponseError, (CHECK_ACCESS,)),
    errors.HostUnreachable: (azclierror.AzureConnectionError, _advice.unreachable),
    errors.TlsFailed: (azclierror.AzureConnectionError, _advice.untrusted),
    errors.ProxySettingWrong: (azclierror.AzureConnectionError, _advice.wrong_proxy_setting),
    errors.SignInUnavailable: (azclierror.AzureConnectionError, _advice.sign_in_unavailable),
    errors.HtmlResponse: (azclierror.AzureResponseError, _advice.not_json),
    errors.MalformedResponse: (
        azclierror.AzureResponseError,
        ('Something between this machine and the service may have changed the answer. Try again.', CHECK_ACCESS),
    ),
    errors.BadRequest: (azclierror.BadRequestError, ('Check the values that were given.',)),
    errors.Unauthorized: (azclierror.UnauthorizedError, _advice.unauthorized),
    errors.Forbidden: (azclierror.ForbiddenError, _advice.forbidden),
    errors.NotFound: (
        azclierror.ResourceNotFoundError,
        ('That is not a DICOM service. List the services:', LIST_SERVICES, CHECK_ACCESS),
    ),
    errors.Redirected: (
        azclierror.AzureResponseError,
        ('Check the service URL. A token never follows a redirect to another host.',),
    ),
    errors.ServiceTrouble: (
        azclierror.AzureInternalError,
        ('Try again later. With --checkpoint, the next run continues where this one ended.',),
    ),
    errors.FeedRestored: (
        azclierror.AzureResponseError,
        ('Find out what was restored, then start with a new checkpoint.',),
    ),
    errors.StartAboveEnd: (
        azclierror.InvalidArgumentValueError,
        (
            'Check the sequence number: --latest shows the newest event. If it was right before, the database was '
            'restored: find out what was restored.',
        ),
    ),
    errors.TooManyPoisoned: (
        azclierror.AzureResponseError,
        ('Read without --include-metadata, --include-field and --match, or report the events to Azure support.',),
    ),
}
