"""Body of `az dicom check-access`: the way to the feed step by step, up to the first one that fails.

Host, TLS and feed are judged by how far one request for the feed gets, the same that `changefeed` sends. What a failure
means and what fixes it is `_diagnosis`' affair.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from azext_dicomtoken._login import IssuedToken, Login
    from azext_dicomtoken._service import Service

STEPS = ('sign-in', 'service', 'token', 'host', 'tls', 'feed')

_READ_TIMEOUT_SECONDS = 30.0


def check_access(
    cmd: Any,
    *,
    service_url: str | None = None,
    workspace_name: str | None = None,
    dicom_service_name: str | None = None,
    resource_group_name: str | None = None,
    resource: str | None = None,
    tenant: str | None = None,
) -> list[dict[str, str]]:
    import requests
    from knack.util import CLIError

    from azext_dicomtoken._output import print_whole

    print_whole(cmd)
    rows: list[dict[str, str]] = []
    try:
        for detail in _details(
            cmd,
            tenant=tenant,
            service_url=service_url,
            workspace_name=workspace_name,
            dicom_service_name=dicom_service_name,
            resource_group_name=resource_group_name,
            resource=resource,
        ):
            rows.append(_row('passed', detail, rows))
    except (CLIError, requests.RequestException) as error:
        rows.append(_failed(cmd.cli_ctx, error, rows, tenant))
        while len(rows) < len(STEPS):
            rows.append(_row('skipped', '', rows))
    return rows


def _details(cmd: Any, *, tenant: str | None, **named: Any) -> Iterator[str]:
    """What is to be said of each step in its turn; the step that fails raises az's error or that of the sign-in."""
    from azext_dicomtoken._login import Login, signed_in_account
    from azext_dicomtoken._service import resolve_service

    subscription = cmd.cli_ctx.data.get('subscription_id')
    account = signed_in_account(cmd.cli_ctx, subscription)
    yield f'{account["user"]["name"]} ({account["user"]["type"]}), tenant {account["tenantId"]}'
    service = resolve_service(cmd.cli_ctx, **named)
    yield f'{service.url}, cloud {cmd.cli_ctx.cloud.name}'
    login = Login(cmd.cli_ctx, audience=service.audience, subscription=subscription, tenant=tenant)
    yield _token_detail(login.get_token(), login, service)
    yield from _request_details(service, login)


def _token_detail(issued: IssuedToken, login: Login, service: Service) -> str:
    claims = login.unverified_claims()
    return (
        f'audience {claims.get("aud", service.audience)}, {int(issued.expires_on - time.time()) // 60} minutes '
        f'left, object ID {claims.get("oid", "not named")}, tenant {claims.get("tid", issued.tenant)}'
    )


def _request_details(service: Service, login: Login) -> Iterator[str]:
    from azure.cli.core.util import get_az_user_agent

    from azext_dicomtoken._diagnosis import Access
    from azext_dicomtoken._errors import explained
    from dicomfeed.client import FeedClient
    from dicomfeed.errors import ConnectionFailed, FeedError, HostUnreachable
    from dicomfeed.transport import HttpTransport

    assert service.url is not None
    transport = HttpTransport(user_agent=get_az_user_agent(), read_timeout_seconds=_READ_TIMEOUT_SECONDS)
    client = FeedClient(service.url, login, transport=transport, patience_seconds=0)
    with explained(lambda: Access(service, login.unverified_claims())):
        try:
            newest = client.latest()
        except FeedError as error:
            if not isinstance(error, HostUnreachable):
                yield _host_detail(service.url)
            if not isinstance(error, ConnectionFailed):
                yield _tls_detail(service.url)
            raise
    yield _host_detail(service.url)
    yield _tls_detail(service.url)
    yield f'newest event: sequence {newest.sequence}, {newest.timestamp}' if newest else 'no event yet'


def _host_detail(url: str) -> str:
    from azext_dicomtoken._diagnosis import addresses_of, proxy_of

    host, proxy = urlsplit(url).hostname or '', proxy_of(url)
    return f'{host} through the proxy {proxy}' if proxy else f'{host} at {", ".join(addresses_of(host))}'


def _tls_detail(url: str) -> str:
    if not url.startswith('https:'):
        return 'not used by this server'
    authorities = os.environ.get('REQUESTS_CA_BUNDLE') or os.environ.get('CURL_CA_BUNDLE')
    return 'certificate trusted' + (f', authorities from {authorities}' if authorities else '')


def _row(verdict: str, detail: str, before: list[dict[str, str]], **more: str) -> dict[str, str]:
    from azext_dicomtoken._output import escape_controls

    return {'step': STEPS[len(before)], 'verdict': verdict, 'detail': escape_controls(detail), **more}


def _failed(cli_ctx: Any, error: Exception, before: list[dict[str, str]], tenant: str | None) -> dict[str, str]:
    """The row of the step that failed. Its error ends the command, once az has printed the rows."""
    from azext_dicomtoken._errors import to_az_error

    error = to_az_error(error)
    advice = _advice(error, tenant)
    _end_with(cli_ctx, error, advice)
    at = next((number for number, line in enumerate(advice) if _is_command(line)), len(advice))
    command = {'command': advice[at]} if at < len(advice) else {}
    return _row('failed', str(error), before, meaning=' '.join(advice[:at]), **command)


def _advice(error: Exception, tenant: str | None) -> list[str]:
    """Lines of advice, whoever gives it, of which one that is a command has nothing else on it."""
    from azext_dicomtoken._diagnosis import signed_out
    from azext_dicomtoken._errors import CHECK_ACCESS

    if "'az login'" in str(error):  # Please run 'az login' to setup account.
        return signed_out(tenant)
    lines = [line for text in getattr(error, 'recommendations', ()) for line in text.splitlines()]
    return [line for line in lines if line not in ('', 'az logout', CHECK_ACCESS)]


def _is_command(line: str) -> bool:
    return line.startswith(('az ', 'export '))


def _end_with(cli_ctx: Any, error: Exception, advice: list[str]) -> None:
    """az has no exit code beside a result: the error follows the result, as one of those whose exit code is 1."""
    from azure.cli.core.azclierror import AuthenticationError, AzCLIError, AzureResponseError, ResourceNotFoundError
    from knack.events import EVENT_CLI_SUCCESSFUL_EXECUTE

    kind = type(error) if isinstance(error, AzCLIError) else AuthenticationError
    final = (AzureResponseError if kind is ResourceNotFoundError else kind)(str(error), recommendation=advice)

    def end(_cli_ctx: Any, **_: Any) -> None:
        raise final

    cli_ctx.register_event(EVENT_CLI_SUCCESSFUL_EXECUTE, end)
