"""`az dicom check-access`: the way to the feed step by step, up to the first step that fails.

Host, TLS and feed are judged by how far one request for the feed gets, the same that `changefeed` sends. What a failure
means and what fixes it is in `_advice`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from azext_dicomtoken._invocation import Invocation

if TYPE_CHECKING:
    from azext_dicomtoken._login import Login
    from azext_dicomtoken._service import Service
    from dicomfeed.errors import FeedError
    from dicomfeed.events import Event

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
    from azext_dicomtoken._output import print_whole

    print_whole(cmd)
    named = {
        'service_url': service_url,
        'workspace_name': workspace_name,
        'dicom_service_name': dicom_service_name,
        'resource_group_name': resource_group_name,
        'resource': resource,
    }
    return list(_rows(_Check(Invocation(cmd.cli_ctx), named, tenant)))


def _rows(check: _Check) -> Iterator[dict[str, str]]:
    """One row a step; its error ends the command, once az has printed the rows."""
    import requests
    from knack.util import CLIError

    has_failed = False
    for step, examine in STEPS.items():
        if has_failed:
            yield _row(step, 'skipped', '')
            continue
        try:
            yield _row(step, 'passed', examine(check))
        except (CLIError, requests.RequestException) as error:
            has_failed = True
            yield _failed(check, step, error)


class _Check:
    """What is known of the way so far. Each step adds to it, says what is to be said of it, or raises az's error."""

    service: Service
    login: Login

    def __init__(self, invocation: Invocation, named: dict[str, str | None], tenant: str | None) -> None:
        self.invocation = invocation
        self.tenant = tenant
        self._named: dict[str, Any] = named
        self._newest: Event | None = None
        self._error: FeedError | None = None

    def sign_in(self) -> str:
        from azext_dicomtoken._login import signed_in_account

        account = signed_in_account(self.invocation.cli_ctx, self.invocation.subscription)
        return f'{account["user"]["name"]} ({account["user"]["type"]}), tenant {account["tenantId"]}'

    def find_service(self) -> str:
        from azext_dicomtoken._service import resolve_service

        self.service = resolve_service(self.invocation, **self._named)
        return f'{self.service.url}, cloud {self.invocation.cli_ctx.cloud.name}'

    def issue_token(self) -> str:
        from azext_dicomtoken._login import Login

        invocation, service = self.invocation, self.service
        self.login = Login(
            invocation.cli_ctx, audience=service.audience, subscription=invocation.subscription, tenant=self.tenant
        )
        issued = self.login.get_token()
        claims = self.login.unverified_claims()
        return (
            f'audience {claims.get("aud", service.audience)}, {int(issued.expires_on - time.time()) // 60} minutes '
            f'left, object ID {claims.get("oid", "not named")}, tenant {claims.get("tid", issued.tenant)}'
        )

    def reach_host(self) -> str:
        from dicomfeed.errors import HostUnreachable

        self._ask()
        self._raise_if(HostUnreachable)
        return _host_detail(str(self.service.url))

    def trust_certificate(self) -> str:
        from dicomfeed.errors import ConnectionFailed

        self._raise_if(ConnectionFailed)
        return _tls_detail(str(self.service.url))

    def read_feed(self) -> str:
        self._raise_if(Exception)
        newest = self._newest
        return f'newest event: sequence {newest.sequence}, {newest.timestamp}' if newest else 'no event yet'

    def _ask(self) -> None:
        """The one request that host, TLS and feed are judged by."""
        from dicomfeed.client import FeedClient
        from dicomfeed.errors import FeedError

        transport = self.invocation.transport(read_timeout_seconds=_READ_TIMEOUT_SECONDS)
        client = FeedClient(str(self.service.url), self.login, transport=transport, patience_seconds=0)
        try:
            self._newest = client.latest()
        except FeedError as error:
            self._error = error

    def _raise_if(self, kind: type[Exception]) -> None:
        from azext_dicomtoken._advice import Access
        from azext_dicomtoken._errors import explained

        if isinstance(self._error, kind):
            with explained(lambda: Access(self.service, self.login.unverified_claims())):
                raise self._error


STEPS: dict[str, Callable[[_Check], str]] = {
    'sign-in': _Check.sign_in,
    'service': _Check.find_service,
    'token': _Check.issue_token,
    'host': _Check.reach_host,
    'tls': _Check.trust_certificate,
    'feed': _Check.read_feed,
}


def _host_detail(url: str) -> str:
    from azext_dicomtoken._advice import addresses_of, proxy_of

    host, proxy = urlsplit(url).hostname or '', proxy_of(url)
    return f'{host} through the proxy {proxy}' if proxy else f'{host} at {", ".join(addresses_of(host))}'


def _tls_detail(url: str) -> str:
    if not url.startswith('https:'):
        return 'not used by this server'
    authorities = os.environ.get('REQUESTS_CA_BUNDLE') or os.environ.get('CURL_CA_BUNDLE')
    return 'certificate trusted' + (f', authorities from {authorities}' if authorities else '')


def _row(step: str, verdict: str, detail: str, **more: str) -> dict[str, str]:
    from azext_dicomtoken._output import escape_controls

    return {'step': step, 'verdict': verdict, 'detail': escape_controls(detail), **more}


def _failed(check: _Check, step: str, error: Exception) -> dict[str, str]:
    from azext_dicomtoken import _advice
    from azext_dicomtoken._errors import CHECK_ACCESS, to_az_error

    error = to_az_error(error)
    advice = [line for line in _advice.of_core(error, tenant=check.tenant) if line != CHECK_ACCESS]
    _end_with(check.invocation.cli_ctx, error, advice)
    at = next((number for number, line in enumerate(advice) if isinstance(line, _advice.Command)), len(advice))
    command = {'command': str(advice[at])} if at < len(advice) else {}
    return _row(step, 'failed', str(error), meaning=' '.join(advice[:at]), **command)


def _end_with(cli_ctx: Any, error: Exception, advice: list[str]) -> None:
    """az has no exit code beside a result: the error follows the result, as one of those whose exit code is 1."""
    from azure.cli.core.azclierror import AuthenticationError, AzCLIError, AzureResponseError, ResourceNotFoundError
    from knack.events import EVENT_CLI_SUCCESSFUL_EXECUTE

    kind = type(error) if isinstance(error, AzCLIError) else AuthenticationError
    final = (AzureResponseError if kind is ResourceNotFoundError else kind)(str(error), recommendation=advice)

    def end(_cli_ctx: Any, **_: Any) -> None:
        raise final

    cli_ctx.register_event(EVENT_CLI_SUCCESSFUL_EXECUTE, end)
