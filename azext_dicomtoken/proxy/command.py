"""Command function of `az dicom proxy`: service, identity, secret and port, then it serves until it is told to end."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from azext_dicomtoken._invocation import Invocation, is_typed

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from azext_dicomtoken._advice import Access
    from azext_dicomtoken.proxy.conversation import Exchange
    from azext_dicomtoken.proxy.rules import Policy
    from azext_dicomtoken.proxy.server import Server
    from azext_dicomtoken.proxy.upstream import Trouble, Upstream

IDLE_TIMEOUT_SECONDS = 8 * 3600.0


def proxy(
    cmd: Any,
    *,
    tenant: str | None = None,
    port: int = 0,
    allow: list[str] | None = None,
    allow_origin: list[str] | None = None,
    allow_host: list[str] | None = None,
    secret_file: str | None = None,
    url_file: str | None = None,
    idle_timeout: float | None = None,
    **kwargs: Any,
) -> None:
    invocation = Invocation(cmd.cli_ctx)
    upstream = _upstream(invocation, kwargs, tenant=tenant)
    secret = _secret(secret_file)
    listener = _listen(port)
    policy = _policy(
        listener.getsockname()[1], secret, groups=allow or (), origins=allow_origin or (), hosts=allow_host or ()
    )
    server = _server(listener, policy, upstream=upstream, idle_timeout=idle_timeout or IDLE_TIMEOUT_SECONDS)
    _run(invocation, server, url=f'http://127.0.0.1:{policy.port}/{policy.secret}', url_file=url_file)


def _upstream(invocation: Invocation, named: dict[str, Any], *, tenant: str | None) -> Upstream:
    """The service, with a sign-in that works: what is wrong with it is said here, and not to the first tool."""
    import requests
    from azure.cli.core.azclierror import AzureConnectionError

    from azext_dicomtoken._advice import access_of
    from azext_dicomtoken._command_line import service_command
    from azext_dicomtoken._login import Login
    from azext_dicomtoken._service import resolve_service
    from azext_dicomtoken.proxy.upstream import Tokens, Upstream

    service = resolve_service(invocation, **named)
    assert service.url is not None
    login = Login(invocation, audience=service.audience, tenant=tenant)
    login.get_token()
    access = access_of(invocation, service, login)  # as long as it is known
    tokens = Tokens(login, on_lost=lambda error: _report_lost_sign_in(error, access))
    typed = {name: value for name, value in {**named, 'tenant': tenant}.items() if is_typed(value)}
    check = service_command(invocation, typed, 'check-access')
    try:
        return Upstream(service.url, tokens, on_trouble=lambda trouble: _report_trouble(trouble, check))
    except requests.RequestException:
        raise AzureConnectionError(
            'The proxy setting of the environment is not a URL.',
            recommendation='Write HTTPS_PROXY as http://HOST:PORT.',
        ) from None


def _secret(secret_file: str | None) -> str:
    from azext_dicomtoken.proxy.address import kept_secret, new_secret

    return kept_secret(secret_file) if secret_file else new_secret()


def _policy(port: int, secret: str, *, groups: Sequence[str], origins: Sequence[str], hosts: Sequence[str]) -> Policy:
    from azext_dicomtoken.proxy.rules import Policy

    return Policy(port, secret, frozenset(groups), frozenset(origins), frozenset(map(str.lower, hosts)))


def _server(listener: socket.socket, policy: Policy, *, upstream: Upstream, idle_timeout: float) -> Server:
    from azext_dicomtoken.proxy.server import Server

    return Server(
        listener,
        policy,
        upstream,
        idle_timeout_seconds=idle_timeout,
        on_exchange=_log,
        on_fault=_report_fault,
    )


def _listen(port: int) -> socket.socket:
    import errno

    from azure.cli.core.azclierror import AzureConnectionError

    from azext_dicomtoken.proxy.server import listen

    try:
        return listen(port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise AzureConnectionError(
                f'Port {port} is in use.', recommendation='Choose another --port, or leave it out to take a free one.'
            ) from None
        raise AzureConnectionError(
            f'Port {port} cannot be listened on: {error.strerror}.', recommendation='Choose another --port.'
        ) from None


def _run(invocation: Invocation, server: Server, *, url: str, url_file: str | None) -> None:
    """Until a signal or the idle timeout: both are the ordinary end, with exit code 0."""
    from azext_dicomtoken._signals import Interrupted, Interruption
    from azext_dicomtoken.proxy.address import remove_url

    try:
        with Interruption().raising():
            try:
                _tell(invocation, url, url_file)
                server.serve()
            except Interrupted:
                pass
            server.end()
    except Interrupted:
        pass  # a second one: what is in flight ends with the process
    finally:
        server.close()
        if url_file:
            remove_url(url_file, url)


def _tell(invocation: Invocation, url: str, url_file: str | None) -> None:
    """The address, for a script; and on a terminal what a person pastes into a tool."""
    from azext_dicomtoken._output import say
    from azext_dicomtoken._stdout import write_stdout
    from azext_dicomtoken.proxy.address import write_url

    if url_file:
        write_url(url_file, url)
    elif invocation.typed_output == 'json':
        import json

        write_stdout(json.dumps({'url': url}) + '\n', stream=invocation.out_file)
    else:
        write_stdout(f'{url}\n', stream=invocation.out_file)
    if sys.stderr is not None and sys.stderr.isatty() and not invocation.cli_ctx.only_show_errors:
        say(f'DICOMweb root: {url}/v2', 'The secret in it is for this machine only. Ctrl-C ends.')


def _log(exchange: Exchange) -> None:
    """Nothing of the request itself."""
    from knack.log import get_logger

    get_logger(__name__).info(
        '%s %s %d, %d bytes, %d ms%s',
        exchange.method,
        exchange.kind,
        exchange.status,
        exchange.payload_bytes,
        exchange.milliseconds,
        '' if exchange.is_whole else ', cut short',
    )


def _report_lost_sign_in(error: Exception, access: Access) -> None:
    """Once: what to do about it, for this kind of account. The error's own text may be anything."""
    from knack.log import get_logger

    from azext_dicomtoken._advice import of_core
    from azext_dicomtoken._errors import to_az_error

    is_signed_out = "'az login'" in str(error)  # Please run 'az login' to setup account.
    advice = [] if is_signed_out else of_core(to_az_error(error, access=access), tenant=None)
    get_logger(__name__).error(
        'There is no access token, so tools get status 502. The proxy tries again as requests come. '
        'What helps, in another terminal:\n%s',
        '\n'.join(advice or [access.login_command()]),
    )


def _report_trouble(trouble: Trouble, check_command: str) -> None:
    from knack.log import get_logger

    get_logger(__name__).error('%s To find out why, in another terminal:\n%s', trouble.value, check_command)


def _report_fault(name: str) -> None:
    from knack.log import get_logger

    get_logger(__name__).error('A request was ended by a fault of the proxy: %s.', name)
