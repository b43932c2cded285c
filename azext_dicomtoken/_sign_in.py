"""What the exceptions of az, MSAL and requests mean for a token: trouble that passes, a refusal, or a file of az.

Owned: which of the three it is, and the error for it. Trouble that passes becomes `SignInUnavailable`, which the reader
waits out; a refusal is core's own error. Not owned: how a token is asked for (`_login`).
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from azure.cli.core.azclierror import AuthenticationError, AzureConnectionError, FileOperationError
from knack.util import CLIError

from azext_dicomtoken._account import CLOUD_SHELL, USER, Account, quoted

if TYPE_CHECKING:
    from dicomfeed.errors import FeedError

# Names of errors that say "later" (RFC 6749, 4.1.2.1; the endpoints of managed identities; Cloud Shell's broker), in
# lower case and without underscores. All others are refusals.
_LATER = frozenset(
    'temporarilyunavailable servererror serviceunavailable serverbusy toomanyrequests throttled internalerror '
    'internalservererror unknown timeout requesttimeout gatewaytimeout badgateway'.split()
)
# '503, Service is busy': how MSAL renders an answer of a managed identity's endpoint; None where it has no status
_LATER_STATUS = r'(429|5\d\d|None), '
_ANSWER_FIELDS = ('access_token', 'expires_in', 'expires_on', 'token_endpoint', 'authorization_endpoint')


def explained(error: Exception, *, sign_in_url: str, config_folder: str, account: Account | None) -> Exception:
    """The error that says what went wrong, or the same one where nobody knows more than it says itself.

    :param sign_in_url: of the service that was asked, for what is said of proxies.
    :param account: the one that was to have a token, where az knows one.
    """
    from dicomfeed.errors import FeedError

    if isinstance(error, FeedError):
        return error
    if isinstance(error, CLIError):
        return _passing_answer(error) or _with_own_login(error, account)
    path = _file_in_the_way(error, config_folder)
    if path:
        return _file_error(path, error, account.login_command() if account else 'az login')
    return _network_error(error, sign_in_url) or _unusable_answer(error) or error


def damaged_file(config_folder: str) -> str | None:
    """The path of the first of az's files about sign-ins that is not what az writes."""
    for name, is_whole in _FILES.items():
        path = os.path.join(config_folder, name)
        try:
            with open(path, encoding='utf-8-sig') as file:
                text = file.read()
            if not is_whole(json.loads(text) if text else None):
                return path
        except FileNotFoundError:
            continue
        except (OSError, ValueError, RecursionError):
            return path
    return None


# Answers


def _with_own_login(error: CLIError, account: Account | None) -> CLIError:
    """With the command for the way in which this account signed in; core knows only the one for users."""
    if account is None or account.way in (USER, CLOUD_SHELL) or not isinstance(error, AuthenticationError):
        return error
    kept = [text for text in error.recommendations if 'az login' not in text]
    error.recommendations = [*kept, f'Sign in again:\n{account.login_command()}']
    return error


def _passing_answer(error: CLIError) -> FeedError | None:
    """Trouble that passes, said in the JSON of an answer."""
    from dicomfeed.errors import SignInUnavailable

    refusal = getattr(error, 'msal_error', None) or {}
    description = str(refusal.get('error_description'))
    if 'AADSTS' in description and str(refusal.get('error')) != 'temporarily_unavailable':
        return None
    status = re.match(_LATER_STATUS, description)
    if status and status[1] == 'None':
        return SignInUnavailable('The sign-in service returned neither a token nor a reason.', is_reached=True)
    if status:
        return SignInUnavailable(f'The sign-in service answered with status {status[1]}.', is_reached=True)
    if str(refusal.get('error')).lower().replace('_', '') in _LATER:
        return SignInUnavailable('The sign-in service is temporarily unavailable.', is_reached=True)
    return None


def _unusable_answer(error: Exception) -> Exception | None:
    """A 5xx, an answer that is no JSON, or JSON of another shape."""
    from dicomfeed.errors import SignInUnavailable

    causes = [cause for cause in (error, error.__context__) if cause]
    said = ' '.join(map(str, causes))
    status = re.search(r'(?:HTTP Error|HTTP status): ([1-5]\d\d)', said)
    if 'AADSTS' in said and not (status and re.match(r'429|5', status[1])):  # in the words of Entra ID itself
        return AuthenticationError(
            'The sign-in service does not know the tenant.',
            recommendation='Check --tenant, or the tenant of the account: az account show --query tenantId',
        )
    if status:  # MsalServiceError('HTTP Error: 503'), also from MSAL's memory of an answer
        return SignInUnavailable(f'The sign-in service answered with status {status[1]}.', is_reached=True)
    if any(isinstance(cause, json.JSONDecodeError) for cause in causes):
        return SignInUnavailable(
            'The sign-in service answered with something other than JSON, such as the web page of a portal or proxy.',
            is_reached=True,
        )
    if _is_raised_in_msal(error) or isinstance(error, KeyError) and error.args[0] in _ANSWER_FIELDS:
        return SignInUnavailable('The sign-in service answered without a token.', is_reached=True)
    return None


def _is_raised_in_msal(error: Exception) -> bool:
    """Whether MSAL's own code stumbled: it takes an answer for an object without a look."""
    frame = error.__traceback__
    while frame and frame.tb_next:
        frame = frame.tb_next
    module = str(frame.tb_frame.f_globals.get('__name__')) if frame else ''
    return module.partition('.')[0] == 'msal' and isinstance(error, (TypeError, AttributeError, ValueError))


# The network


def _network_error(error: Exception, url: str) -> Exception | None:
    import requests

    from azext_dicomtoken import _advice
    from azext_dicomtoken._network import authority_setting, problem_with_authority
    from dicomfeed.errors import HostUnreachable, ProxySettingWrong, SignInUnavailable, TlsFailed
    from dicomfeed.transport import proxy_of, translated

    setting = authority_setting()
    if isinstance(error, OSError) and setting and problem_with_authority(setting):
        # OSError('Could not find a suitable TLS CA certificate bundle, invalid path: …')
        return AzureConnectionError(_NO_TRUST, recommendation=list(_advice.untrusted()))
    if not isinstance(error, requests.RequestException):
        return None
    what = translated(error, url, proxied=proxy_of(url) is not None)
    if isinstance(what, TlsFailed):
        return AzureConnectionError(_NO_TRUST, recommendation=list(_advice.untrusted()))
    if isinstance(what, ProxySettingWrong):
        return AzureConnectionError(str(what), recommendation=list(_advice.wrong_proxy_setting(what)))
    if isinstance(what, HostUnreachable) and what.proxy_status in (403, 407):
        return AzureConnectionError(_NOT_REACHED, recommendation=list(_advice.sign_in_unreachable(what)))
    unavailable = SignInUnavailable(_NOT_REACHED)
    unavailable.__cause__ = what
    return unavailable


_NO_TRUST = 'No trusted TLS connection to the sign-in service.'
_NOT_REACHED = 'The sign-in service could not be reached.'


# Files


def _file_in_the_way(error: Exception, config_folder: str) -> str | None:
    """The path of the file that az could not use, if it was one."""
    import requests

    if isinstance(error, requests.RequestException):
        return None
    named = getattr(error, 'filename', None) or getattr(error, 'location', None)
    if isinstance(error, OSError) and isinstance(named, str) and named.startswith(config_folder):
        return named
    if type(error).__module__.partition('.')[0] == 'msal_extensions':  # the encrypted cache of Windows and macOS
        return os.path.join(config_folder, 'msal_token_cache.bin')
    return damaged_file(config_folder)


def _file_error(path: str, error: Exception, login_command: str) -> FileOperationError:
    from azext_dicomtoken._advice import Command

    reason = error.strerror if isinstance(error, OSError) and error.strerror else 'it is damaged'
    move = 'move' if os.name == 'nt' else 'mv'
    return FileOperationError(
        f'az cannot use its file {os.path.basename(path)}: {reason}.',
        recommendation=[
            f'The file is {path}. Check its owner and permissions; or rename it and sign in again:',
            Command(f'{move} {quoted(path)} {quoted(path + ".damaged")} && {login_command}'),
        ],
    )


def _is_profile(value: Any) -> bool:
    accounts = value.get('subscriptions', []) if isinstance(value, dict) else None
    return isinstance(accounts, list) and all(map(_is_account, accounts))


def _is_account(value: Any) -> bool:
    if not isinstance(value, dict) or not isinstance(value.get('user'), dict):
        return False
    texts = [value.get(name) for name in ('id', 'name', 'tenantId', 'environmentName')]
    return all(isinstance(text, str) for text in (*texts, value['user'].get('name'), value['user'].get('type')))


def _is_token_cache(value: Any) -> bool:
    return (
        value is None
        or isinstance(value, dict)
        and all(
            isinstance(section, dict) and all(isinstance(item, dict) for item in section.values())
            for section in value.values()
        )
    )


def _are_service_principals(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(item, dict) and {'client_id', 'tenant'} <= set(item) for item in value
    )


_FILES: dict[str, Callable[[Any], bool]] = {
    'azureProfile.json': _is_profile,
    'msal_token_cache.json': _is_token_cache,
    'service_principal_entries.json': _are_service_principals,
}
