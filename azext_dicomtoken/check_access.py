"""`az dicom check-access`: the way to the feed step by step, up to the first step that fails.

Host, TLS, clock and feed are judged by how far one request for the feed gets, the same that `changefeed` sends. What a
failure means and what fixes it is in `_advice`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from azext_dicomtoken._invocation import Invocation

if TYPE_CHECKING:
    from azext_dicomtoken._account import Account
    from azext_dicomtoken._login import IssuedToken, Login
    from azext_dicomtoken._service import Service
    from dicomfeed.events import Event
    from dicomfeed.transport import Answer, Transport

_READ_TIMEOUT_SECONDS = 30.0
_NOTABLE_SECONDS = 120


def check_access(cmd: Any, *, tenant: str | None = None, **kwargs: Any) -> list[dict[str, str]]:
    return _rows(_Check(Invocation(cmd.cli_ctx), kwargs, tenant))


def _rows(check: _Check) -> list[dict[str, str]]:
    """One row a step; the error of the one that failed ends the command, once az has printed the rows."""
    from knack.util import CLIError

    from dicomfeed.errors import FeedError

    rows: list[dict[str, str]] = []
    for step, examine in STEPS.items():
        if rows and rows[-1]['verdict'] != 'passed':
            rows.append(_row(step, 'skipped', ''))
            continue
        try:
            rows.append(_row(step, 'passed', examine(check)))
        except (CLIError, FeedError) as error:
            rows.append(_failed(check, step, error))
    passed = ('token', 'passed')
    return [_row(*passed, check.token_detail()) if (row['step'], row['verdict']) == passed else row for row in rows]


class _Check:  # pylint: disable=too-many-instance-attributes    # one for what each step finds
    """What is known of the way so far. Each step adds to it, says what is to be said of it, or raises an error."""

    service: Service
    login: Login
    issued: IssuedToken

    def __init__(self, invocation: Invocation, named: dict[str, Any], tenant: str | None) -> None:
        self.invocation = invocation
        self.tenant = tenant
        self.account: Account | None = None
        self._named = named
        self._newest: Event | None = None
        self._error: Exception | None = None
        self._transport: _Watched | None = None

    def sign_in(self) -> str:
        from azext_dicomtoken._login import signed_in_account

        self.account = account = signed_in_account(self.invocation.cli_ctx, self.invocation.subscription)
        identity = f', {account.identity[0].removeprefix("--")} {account.identity[1]}' if account.identity else ''
        return f'{account.name} ({account.way}{identity}), tenant {account.tenant}'

    def find_service(self) -> str:
        from azext_dicomtoken._service import resolve_service

        self.service = resolve_service(self.invocation, **self._named)
        return f'{self.service.url}, cloud {self.invocation.cli_ctx.cloud.name}'

    def issue_token(self) -> str:
        from azext_dicomtoken._login import Login

        self.login = Login(self.invocation, audience=self.service.audience, tenant=self.tenant)
        self.issued = self.login.get_token()
        return ''  # told at the end, when the service's clock is known

    def token_detail(self) -> str:
        """What is to be said of the token: its time left by the service's clock once that is known."""
        claims = self.login.unverified_claims()
        tenant = claims.get('tid', self.issued.tenant)
        is_told = self.account is not None and self.account.tenant == tenant
        return (
            f'audience {claims.get("aud", self.service.audience)}, {self._seconds_left(claims) // 60} minutes left, '
            f'object ID {claims.get("oid", "not named")}' + ('' if is_told else f', tenant {tenant}')
        )

    def _seconds_left(self, unverified_claims: dict[str, Any]) -> int:
        expires_on = unverified_claims.get('exp')
        ahead = self._seconds_ahead
        if ahead is None or not isinstance(expires_on, (int, float)):
            return int(self.issued.expires_on - time.time())  # az counts from this machine's clock
        return int(expires_on - (time.time() - ahead))

    @property
    def _seconds_ahead(self) -> int | None:
        return self._transport.seconds_ahead if self._transport else None

    def reach_host(self) -> str:
        from dicomfeed.errors import HostUnreachable, ProxySettingWrong

        self._ask()
        self._raise_if(HostUnreachable, ProxySettingWrong)
        return _host_detail(str(self.service.url))

    def trust_certificate(self) -> str:
        from dicomfeed.errors import ConnectionFailed

        self._raise_if(ConnectionFailed)
        return _tls_detail(str(self.service.url))

    def compare_clocks(self) -> str:
        """Never fails: a wrong clock is told, because it changes what an age and a token's time left mean."""
        ahead = self._seconds_ahead
        if ahead is None:
            return 'the service does not say its time'
        if abs(ahead) <= _NOTABLE_SECONDS:
            return f'{abs(ahead)} s from the clock of the service'
        from azext_dicomtoken._output import duration_text

        direction = 'ahead of' if ahead > 0 else 'behind'
        return f'this machine is {duration_text(abs(ahead))} {direction} the service: set its clock'

    def read_feed(self) -> str:
        self._raise_if(Exception)
        newest = self._newest
        found = f'newest event: sequence {newest.sequence}, {newest.timestamp}' if newest else 'no event yet'
        return f'{found}; only reading was checked'

    def _ask(self) -> None:
        """The one request that host, TLS, clock and feed are judged by."""
        from knack.util import CLIError

        from dicomfeed.client import FeedClient
        from dicomfeed.errors import FeedError

        self._transport = _Watched(self.invocation.transport(read_timeout_seconds=_READ_TIMEOUT_SECONDS))
        client = FeedClient(str(self.service.url), self.login, transport=self._transport, patience_seconds=0)
        try:
            self._newest = client.latest()
        except (FeedError, CLIError) as error:  # of the sign-in, where the service wants another token
            self._error = error

    def _raise_if(self, *kinds: type[Exception]) -> None:
        from azext_dicomtoken._advice import access_of
        from azext_dicomtoken._errors import explained

        if isinstance(self._error, kinds):
            with explained(lambda: access_of(self.invocation, self.service, self.login)):
                raise self._error


class _Watched:  # pylint: disable=too-few-public-methods    # a transport has one
    """A transport, and what its last answer says of the service's clock.

    :ivar seconds_ahead: how far this machine's clock is ahead, by the `Date` of the answer; None until one said it.
    """

    def __init__(self, transport: Transport, now: Callable[[], float] = time.time) -> None:
        self.seconds_ahead: int | None = None
        self._transport = transport
        self._now = now

    def get(self, url: str, **request: Any) -> Answer:
        from dicomfeed.times import epoch_seconds, parse_http_date

        answer = self._transport.get(url, **request)
        served = parse_http_date(answer.headers.get('date'))
        if served is not None:
            self.seconds_ahead = round(self._now() - epoch_seconds(served))
        return answer


STEPS: dict[str, Callable[[_Check], str]] = {
    'sign-in': _Check.sign_in,
    'service': _Check.find_service,
    'token': _Check.issue_token,
    'host': _Check.reach_host,
    'tls': _Check.trust_certificate,
    'clock': _Check.compare_clocks,
    'feed': _Check.read_feed,
}


def _host_detail(url: str) -> str:
    from azext_dicomtoken._advice import addresses_of
    from azext_dicomtoken._network import proxy_setting, without_password

    host, proxy = urlsplit(url).hostname or '', proxy_setting(url)
    if proxy:
        return f'reached through the proxy {without_password(proxy)} ({proxy.name})'
    return f'reached at {", ".join(dict.fromkeys(addresses_of(host)))}'


def _tls_detail(url: str) -> str:
    from azext_dicomtoken._network import authority_setting

    if not url.startswith('https:'):
        return 'not used by this server'
    setting = authority_setting()
    named = f'{setting.value} ({setting.name})' if setting else 'the certificates that come with az'
    return f'certificate trusted by {named}'


def _row(step: str, verdict: str, detail: str, **more: str) -> dict[str, str]:
    from azext_dicomtoken._output import escape_controls

    return {'step': step, 'verdict': verdict, 'detail': escape_controls(detail), **more}


def _failed(check: _Check, step: str, error: Exception) -> dict[str, str]:
    from azext_dicomtoken import _advice
    from azext_dicomtoken._errors import CHECK_ACCESS, to_az_error

    error = to_az_error(error)
    advice = [line for line in _advice.of_core(error, tenant=check.tenant) if line != CHECK_ACCESS]
    if not advice:  # core's short errors: User '…' does not exist in MSAL token cache. Run `az login`.
        advice = ['Sign in again:', _advice.Access(account=check.account).login_command(check.tenant)]
    quotes = [line for line in getattr(error, 'recommendations', ()) if isinstance(line, _advice.Quote)]
    _end_with(check.invocation.cli_ctx, error, quotes + _advice.by_sentence(advice))
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
