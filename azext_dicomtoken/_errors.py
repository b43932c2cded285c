"""From what went wrong to what az says of it: one table, each row with advice.

The reader's messages hold nothing secret, so they become az's messages, which go to its telemetry. What the service
said of itself is only printed.
"""
from __future__ import annotations

from dataclasses import dataclass

from azure.cli.core import azclierror
from azure.cli.core.azclierror import AzCLIError
from dicomfeed import errors

CHECK_ACCESS = 'Step by step: az dicom check-access'


@dataclass(frozen=True)
class Caller:
    """Whom a role would have to be given to, and where; the defaults find it out when the command is run.

    :ivar principal_type: as `az role assignment create --assignee-principal-type` has it.
    :ivar scope: ID of the service in Azure Resource Manager.
    """

    object_id: str = '"$(az dicom token show-claims --query objectId -o tsv)"'
    principal_type: str = 'User'
    scope: str = 'SERVICE_RESOURCE_ID'


def role_assignment_command(caller: Caller) -> str:
    """The command that lets a caller read the service."""
    return (f'az role assignment create --assignee-object-id {caller.object_id} '
            f'--assignee-principal-type {caller.principal_type} --role "DICOM Data Reader" --scope {caller.scope}')


def to_az_error(error: Exception, *, caller: Caller = Caller()) -> Exception:
    """az's error for one of the reader's or of the sign-in's network; any other comes back as it is.

    Prints what the service said, where the error carries it.
    """
    if isinstance(error, errors.FeedError):
        return _from_feed_error(error, caller)
    return _from_sign_in(error)


def _from_feed_error(error: errors.FeedError, caller: Caller) -> AzCLIError:
    if isinstance(error, errors.ServiceError):
        from azext_dicomtoken._output import print_service_words
        print_service_words(error.text, error.request_id)
    if isinstance(error, errors.Forbidden):
        return azclierror.ForbiddenError(str(error), recommendation=[
            'Without a role for the data, ask for it to be given to you; it takes up to five minutes to count:',
            role_assignment_command(caller), CHECK_ACCESS])
    kind, advice = next(row for cls in type(error).__mro__ if (row := _ROWS.get(cls)))
    return kind(str(error), recommendation=list(advice))


def _from_sign_in(error: Exception) -> Exception:
    import requests
    if isinstance(error, (requests.ConnectionError, requests.Timeout)) and not isinstance(
            error, requests.exceptions.SSLError):       # for that one core has words of its own
        return azclierror.AzureConnectionError(
            'The sign-in service could not be reached.',
            recommendation='Check the network and the proxy settings (HTTPS_PROXY, NO_PROXY).')
    return error


# From a class of the reader to az's class and the advice; the nearest ancestor counts.
_ROWS: dict[type, tuple[type[AzCLIError], tuple[str, ...]]] = {
    errors.FeedError: (azclierror.AzureResponseError, (CHECK_ACCESS,)),
    errors.HostUnreachable: (azclierror.AzureConnectionError, (
        'Check the service URL, the network and the proxy settings (HTTPS_PROXY, NO_PROXY).',
        'A service with a private endpoint answers only inside its network.', CHECK_ACCESS)),
    errors.TlsFailed: (azclierror.AzureConnectionError, (
        'For a proxy or server with a certificate authority of its own, name the authority\'s file in '
        'REQUESTS_CA_BUNDLE.', CHECK_ACCESS)),
    errors.MalformedResponse: (azclierror.AzureResponseError, (
        'Something between here and the service may have changed the answer; try again.', CHECK_ACCESS)),
    errors.BadRequest: (azclierror.BadRequestError, ('Check the values that were given.',)),
    errors.Unauthorized: (azclierror.UnauthorizedError, (
        'Compare audience and expectedAudience: az dicom token show-claims -o table',
        'Sign in again: az login', CHECK_ACCESS)),
    errors.NotFound: (azclierror.ResourceNotFoundError, (
        'Check that the service URL is that of a DICOM service.', CHECK_ACCESS)),
    errors.Redirected: (azclierror.AzureResponseError, (
        'Check the service URL; a token is never sent on to another host.',)),
    errors.ServiceTrouble: (azclierror.AzureInternalError, (
        'Try again later; with --checkpoint a run goes on where it ended.',)),
    errors.FeedRestored: (azclierror.AzureResponseError, (
        'Find out what was restored, then begin with a new checkpoint.',)),
    errors.TooManyPoisoned: (azclierror.AzureResponseError, (
        'Read without --include-metadata, or report the events to the support of the service.',)),
    errors.CheckpointError: (azclierror.FileOperationError, (
        'Choose another file for --checkpoint; this one was left as it is.',)),
    errors.CheckpointMismatch: (azclierror.InvalidArgumentValueError, (
        'Give the options that the checkpoint was made with, or another file for --checkpoint.',)),
    errors.CheckpointLocked: (azclierror.FileOperationError, (
        'Wait until the other process has ended, or choose another file for --checkpoint.',)),
    errors.OutputError: (azclierror.FileOperationError, (
        'Check the folder, its permissions and the free space, or choose another --output-file.',)),
}
