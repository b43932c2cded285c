"""What it means that the way to a service ends somewhere, and the command that fixes it.

One place for `changefeed`, which comes upon it, and `check-access`, which looks for it. Works from what is at hand: the
service that was meant, the claims of the token that was sent, the challenge that came back. Every function gives lines
of advice, of which those to paste are of the type `Command`. az prints advice, and keeps it out of its telemetry:
object IDs and addresses belong here, and never into the message of an error.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from azext_dicomtoken._account import Account
from azext_dicomtoken._arm import dicom_resource_id
from azext_dicomtoken._claims import principal_type
from azext_dicomtoken._hosts import active_cloud
from azext_dicomtoken._network import (
    Setting,
    authority_setting,
    exception_variable,
    is_proxy_url,
    problem_with_authority,
    proxy_setting,
    without_password,
)
from azext_dicomtoken._service import Service
from dicomfeed.errors import (
    Forbidden,
    HostUnreachable,
    HtmlResponse,
    ProxySettingWrong,
    SignInUnavailable,
    TlsFailed,
    Unauthorized,
)
from dicomfeed.trust import Cloud, cloud_of_host, is_dicom_host

if TYPE_CHECKING:
    from azext_dicomtoken._invocation import Invocation
    from azext_dicomtoken._login import Login

LookUp = Callable[..., Any]
Advice = list[str]
"""Lines of text, of `Command` and of `Quote`."""

_TENANT = re.compile(
    r'authorization_uri="https://[^/"\s]+/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})[/"]', re.IGNORECASE
)
_SENTENCE_END = re.compile(r'(?<=[.?]) (?=[A-Z])')
_AUDIENCE = re.compile(r'resource_id="([A-Za-z0-9:/._-]{1,200})"')


class Command(str):
    """A line of advice to paste into a shell."""

    __slots__ = ()


class Quote(str):
    """A line with what a service said: printed for a person's eyes, and never logged, which may be kept."""

    __slots__ = ()


def quoted(text: str, request_id: str | None) -> Advice:
    """The service's own words and the number of the request, for whoever asks its support."""
    from azext_dicomtoken._output import escape_controls

    named = (('The service says', text), ('Request ID', request_id))
    return [Quote(f'{label}: {escape_controls(words.strip())}') for label, words in named if words and words.strip()]


LIST_SERVICES = Command('az resource list --resource-type Microsoft.HealthcareApis/workspaces/dicomservices -o table')


@dataclass(frozen=True)
class Access:
    """Who asks which service, as far as it is known.

    :ivar cloud: the active one, whose DICOM hosts are believed; None believes nobody.
    :ivar check_command: checks the access to the service.
    """

    service: Service | None = None
    unverified_claims: dict[str, Any] = field(default_factory=dict)
    account: Account | None = None
    cloud: Cloud | None = None
    check_command: str = 'az dicom check-access'

    @property
    def tenant(self) -> str | None:
        return self._id('tid')

    def login_command(self, tenant: str | None = None) -> Command:
        """How this account signs in again, in that tenant or in the one of the token."""
        tenant = tenant or self.tenant
        if self.account:
            return Command(self.account.login_command(tenant))
        return Command('az login' + (f' --tenant {tenant}' if tenant else ''))

    def believes(self, url: str) -> bool:
        """Whether what the server at that address says may go into a command."""
        return self.cloud is not None and is_dicom_host(_origin(url), self.cloud)

    def role_command(self) -> Command | None:
        """How somebody who may assign roles lets this caller read; None for a server outside of Azure."""
        scope = self.scope()
        if scope is None:
            return None
        object_id = self._id('oid') or '"$(az dicom token show-claims --query objectId -o tsv)"'
        kind = 'User' if principal_type(self.unverified_claims) in ('user', None) else 'ServicePrincipal'
        return Command(
            f'az role assignment create --assignee-object-id {object_id} --assignee-principal-type {kind} '
            f'--role "DICOM Data Reader" --scope {scope}'
        )

    def scope(self) -> str | None:
        """The service's ID in Azure Resource Manager, words in capitals for what nobody has said."""
        service = self.service or Service(None, '')
        if service.resource_id:
            return service.resource_id
        host = _host(service.url or '')
        if host and cloud_of_host(host) is None:
            return None
        parts = host.partition('.')[0].split('-')  # of more hyphens than one, nobody knows which one divides
        names = service.names or (parts if len(parts) == 2 else ('WORKSPACE', 'DICOM_SERVICE'))
        return dicom_resource_id('SUBSCRIPTION_ID', 'RESOURCE_GROUP', *names)

    def _id(self, claim: str) -> str | None:
        """A claim that goes into a command: nothing that a shell would read differently."""
        text = str(self.unverified_claims.get(claim))
        return text if re.fullmatch('[0-9A-Fa-f-]{36}', text) else None


def access_of(invocation: Invocation, service: Service, login: Login) -> Access:
    """What is known when a request with this login to this service has failed."""
    return Access(service, login.unverified_claims(), login.account(), active_cloud(invocation.cli_ctx))


def unauthorized(error: Unauthorized, access: Access) -> Advice:
    """401: another audience or tenant than the service wants, by its challenge; else nothing but to sign in again.

    Of a challenge, only a tenant ID and the documented audience go into a command, and only from a DICOM host of the
    active cloud: anybody else could have a token for another service sent to itself.
    """
    given, named = str(access.unverified_claims.get('aud') or ''), _AUDIENCE.search(error.challenge or '')
    if not access.believes(error.url):
        return [
            'The server does not accept the token.'
            + (f' It says that it accepts tokens for {named[1]}; this one is for {given}.' if named and given else '')
            + ' Ask its administrator which audience and tenant it accepts. To sign in again:',
            access.login_command(),
        ]
    wanted = access.cloud.audience if access.cloud else None
    if given and wanted and given.rstrip('/') != wanted:
        return [
            f'The token is for {given}, but the service accepts tokens for {wanted}. Leave out --resource, or try:',
            Command(f'az dicom check-access --service-url {_origin(error.url)} --resource {wanted}'),
        ]
    tenant = _TENANT.search(error.challenge or '')
    if tenant and access.tenant and tenant[1].lower() != access.tenant.lower():
        return [
            f'The token is from the tenant {access.tenant}, but the service belongs to the tenant {tenant[1]}. '
            'Sign in there, or name it with --tenant:',
            access.login_command(tenant[1]),
        ]
    return [
        'The service does not accept the token, although audience and tenant look right. It may have been revoked, or '
        'the clock of this machine is wrong. Sign in again:',
        access.login_command(),
    ]


def forbidden(_error: Forbidden, access: Access) -> Advice:
    """403: no role, one that is too fresh, or a network that the service does not answer."""
    command = access.role_command()
    if command is None:
        return ['The server knows who you are, but does not allow you to read. Ask its administrator.']
    return [
        'Signed in, but without a role for the data. If a role was granted within the last five minutes, wait. A '
        'service with a private endpoint may refuse everyone outside its network. Otherwise, someone who may assign '
        'roles there runs:',
        command,
        *(
            ['With --resource-group and both names, az dicom check-access fills in the scope.']
            if 'SUBSCRIPTION_ID' in command
            else []
        ),
    ]


def unreachable(
    error: HostUnreachable,
    access: Access,
    *,
    look_up: LookUp = socket.getaddrinfo,
    environ: Mapping[str, str] = os.environ,
) -> Advice:
    """No connection: a proxy, an unknown name, a private endpoint, or a firewall."""
    host, proxy = _host(error.url), proxy_setting(error.url, environ=environ)
    if proxy:
        return _behind_a_proxy(error, proxy, environ)
    addresses = addresses_of(host, look_up=look_up)
    if not addresses:
        return [
            f'{host} is not known here. The workspace or the service is misspelled, or the name is known only in the '
            'network of a private endpoint. List the services:',
            LIST_SERVICES,
        ]
    if _is_private(addresses[0]):
        return [
            f'{host} has the private address {addresses[0]}, like a private endpoint, which answers only inside its '
            'network. Run the command there, or connect this machine to that network.',
            *_public_access(access),
        ]
    return [
        f'{host} has the address {addresses[0]}. A firewall may be in between, or a proxy may be needed (HTTPS_PROXY).',
        *_public_access(access),
    ]


def sign_in_unreachable(error: HostUnreachable, *, environ: Mapping[str, str] = os.environ) -> Advice:
    """No connection to the sign-in service, or to the endpoint of a managed identity."""
    proxy = proxy_setting(error.url, environ=environ)
    if proxy:
        return _behind_a_proxy(error, proxy, environ)
    return [
        f'{_host(error.url)} does not answer here. Check the network, and whether a proxy is needed (HTTPS_PROXY). '
        'Or try again later.'
    ]


def sign_in_unavailable(error: SignInUnavailable, _access: Access | None = None) -> Advice:
    """The sign-in service is in trouble, or something answers in its place."""
    if isinstance(error.__cause__, HostUnreachable):
        return sign_in_unreachable(error.__cause__)
    return ['The sign-in was not refused. Try again later. The status of Azure: https://azure.status.microsoft']


def wrong_proxy_setting(
    error: ProxySettingWrong, _access: Access | None = None, *, environ: Mapping[str, str] = os.environ
) -> Advice:
    """A proxy that is named in a way that cannot work."""
    proxy = proxy_setting(error.url, environ=environ)
    if proxy is None:
        return ['Check the proxy settings (HTTPS_PROXY, ALL_PROXY).']
    if is_proxy_url(proxy) and proxy.value.lower().startswith('https://'):
        return [
            f'{proxy.name} starts with https://, but the proxy uses plain http, as most proxies do. Use http:// in it:',
            *_set(proxy, f'http://{without_password(proxy)}'),
        ]
    return [
        f'The value of {proxy.name} is not the URL of a proxy, such as http://HOST:PORT. Correct it, or remove it if '
        'there is no proxy:',
        *([Command(f'unset {proxy.name}')] if proxy.is_variable else []),
    ]


def untrusted(
    _error: TlsFailed | None = None, _access: Access | None = None, *, environ: Mapping[str, str] = os.environ
) -> Advice:
    """TLS that cannot be trusted, with the service or with the sign-in."""
    setting = authority_setting(environ=environ)
    problem = problem_with_authority(setting) if setting else None
    if setting and problem:
        return [
            f'The variable {setting.name} names {setting.value}, {problem}. Set it to the file with the '
            'certificate authorities of your network, or remove it if there are none:',
            Command(f'unset {setting.name}'),
        ]
    if setting:
        return [
            f'A proxy or server in between has a certificate authority that is not in {setting.value}. Set '
            f'{setting.name} to a file that contains it:',
            Command(f'export {setting.name}=/path/to/authority.pem'),
        ]
    other = environ.get('SSL_CERT_FILE')
    return [
        'A proxy or server in between has a certificate authority of its own. Set REQUESTS_CA_BUNDLE to a file that '
        'contains it' + (' (az does not read SSL_CERT_FILE):' if other else ':'),
        Command('export REQUESTS_CA_BUNDLE=' + ('"$SSL_CERT_FILE"' if other else '/path/to/authority.pem')),
    ]


def not_json(_error: HtmlResponse, access: Access) -> Advice:
    """A web page in the place of JSON."""
    return [
        'It is a web page (HTML). A sign-in portal, a proxy or a gateway answers instead of the service, or the URL '
        'belongs to another service.',
        *_public_access(access),
    ]


def signed_out(tenant: str | None) -> Advice:
    """az has no account at all."""
    return [
        'Nobody is signed in, or the sign-in is in another folder (AZURE_CONFIG_DIR). Sign in:',
        Access().login_command(tenant),
    ]


def of_core(error: Exception, *, tenant: str | None) -> Advice:
    """The advice that an error of az carries, without quotes; core's own commands are lines like any other."""
    if "'az login'" in str(error):  # Please run 'az login' to setup account.
        return signed_out(tenant)
    texts = [text for text in getattr(error, 'recommendations', ()) if not isinstance(text, Quote)]
    lines = [line for text in texts for line in _lines(text)]
    return [line for line in lines if line not in ('', 'az logout')]


def by_sentence(advice: Advice) -> Advice:
    """The advice as it is printed: one sentence a line, so that it is read at a glance in a narrow terminal."""
    return [
        sentence
        for line in advice
        for sentence in ([line] if isinstance(line, (Command, Quote)) else _SENTENCE_END.split(line))
    ]


def _lines(text: str) -> Advice:
    if isinstance(text, Command):
        return [text]
    return [Command(line) if line.startswith('az ') else line for line in text.splitlines()]


def addresses_of(host: str, *, look_up: LookUp = socket.getaddrinfo) -> list[str]:
    """What the name leads to on this machine; nothing where it is not known."""
    try:
        return [str(found[4][0]) for found in look_up(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []


def _behind_a_proxy(error: HostUnreachable, proxy: Setting, environ: Mapping[str, str]) -> Advice:
    """What the proxy's own answer means, and what it is that can be done about it here."""
    host, named = _host(error.url), f'The proxy {without_password(proxy)}, which {proxy.name} names,'
    if error.proxy_status == 407:
        has_password = '@' in proxy.value
        return [
            f'{named} '
            + (
                'does not accept the user name and password in its URL'
                if has_password
                else 'requires a user name and password'
            )
            + f' (status 407). Put them into {proxy.name}, special characters as %XX:',
            *_set(proxy, f'http://USER:PASSWORD@{without_password(proxy)}'),
        ]
    meaning = {
        403: f'does not allow {host} (status 403). Ask its administrator to allow the host.',
        502: f'does not reach {host} (status 502): the name is wrong, or not known there.',
        504: f'does not reach {host} in time (status 504).',
    }.get(
        error.proxy_status or 0,
        f'does not lead to {host} (status {error.proxy_status}).'
        if error.proxy_status
        else f'does not answer, or ends the connection to {host}. Is the proxy the right one, and running?',
    )
    variable = exception_variable(environ=environ)
    return [
        f'{named} {meaning} If the host can be reached without the proxy:',
        Command(f'export {variable}="${variable},{host}"'),
    ]


def _set(setting: Setting, value: str) -> Advice:
    return [Command(f'export {setting.name}={value}')] if setting.is_variable else [f'The value: {value}']


def _public_access(access: Access) -> Advice:
    scope = access.scope()
    return (
        []
        if scope is None
        else [
            'Check whether the service is open to public networks:',
            Command(f'az resource show --ids {scope} --query properties.publicNetworkAccess'),
        ]
    )


def _is_private(address: str) -> bool:
    import ipaddress

    return ipaddress.ip_address(address.partition('%')[0]).is_private


def _host(url: str) -> str:
    return urlsplit(url).hostname or ''


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f'{parts.scheme}://{parts.netloc}'
