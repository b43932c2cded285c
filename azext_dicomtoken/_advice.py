"""What it means that the way to a service ends somewhere, and the command that fixes it.

One place for `changefeed`, which comes upon it, and `check-access`, which looks for it. Works from what is at hand: the
service that was meant, the claims of the token that was sent, the challenge that came back. Every function gives lines
of advice, of which those to paste are of the type `Command`. az prints advice, and keeps it out of its telemetry:
object IDs and addresses belong here, and never into the message of an error.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from azext_dicomtoken._arm import dicom_resource_id
from azext_dicomtoken._claims import principal_type
from azext_dicomtoken._service import Service
from dicomfeed.errors import Forbidden, HostUnreachable, TlsFailed, Unauthorized
from dicomfeed.trust import cloud_of_host

LookUp = Callable[..., Any]
Advice = list[str]
"""Lines of text and of `Command`."""

_TENANT = re.compile(
    r'authorization_uri="https://[^/"\s]+/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})[/"]', re.IGNORECASE
)
_AUDIENCE = re.compile(r'resource_id="([A-Za-z0-9:/._-]{1,200})"')


class Command(str):
    """A line of advice to paste into a shell."""

    __slots__ = ()


LIST_SERVICES = Command('az resource list --resource-type Microsoft.HealthcareApis/workspaces/dicomservices -o table')


@dataclass(frozen=True)
class Access:
    """Who asks which service, as far as it is known."""

    service: Service | None = None
    unverified_claims: dict[str, Any] = field(default_factory=dict)

    @property
    def tenant(self) -> str | None:
        return self._id('tid')

    def login_command(self, tenant: str | None = None) -> Command:
        """How this caller signs in again, in that tenant or in the same; az asks a service principal for its secret."""
        kind = principal_type(self.unverified_claims)
        if kind == 'managedIdentity':
            return Command('az login --identity')
        tenant = tenant or self.tenant
        application = self._id('appid') or self._id('azp')
        return Command(
            'az login'
            + (f' --service-principal --username {application}' if kind == 'servicePrincipal' and application else '')
            + (f' --tenant {tenant}' if tenant else '')
        )

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
        host = urlsplit(service.url or '').hostname or ''
        if host and cloud_of_host(host) is None:
            return None
        parts = host.partition('.')[0].split('-')  # of more hyphens than one, nobody knows which one divides
        names = service.names or (parts if len(parts) == 2 else ('WORKSPACE', 'DICOM_SERVICE'))
        return dicom_resource_id('SUBSCRIPTION_ID', 'RESOURCE_GROUP', *names)

    def _id(self, claim: str) -> str | None:
        """A claim that goes into a command: nothing that a shell would read differently."""
        text = str(self.unverified_claims.get(claim))
        return text if re.fullmatch('[0-9A-Fa-f-]{36}', text) else None


def unauthorized(error: Unauthorized, access: Access) -> Advice:
    """401: another audience or tenant than the service wants, by its challenge; else nothing but to sign in again."""
    given, wanted = access.unverified_claims.get('aud'), _wanted_audience(error)
    if given and wanted and str(given).rstrip('/') != wanted.rstrip('/'):
        return [
            f'The token is for {given}, but the service takes tokens for {wanted}. Leave --resource out, or try:',
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
        'The service does not accept the token, though audience and tenant are right as far as can be seen. It may '
        'have been revoked, or the clock here is wrong. Sign in again:',
        access.login_command(),
    ]


def forbidden(_error: Forbidden, access: Access) -> Advice:
    """403: no role, one that is too fresh, or a network that the service does not answer."""
    command = access.role_command()
    if command is None:
        return ['The server knows the caller and does not let it read. Ask whoever runs it.']
    return [
        'Signed in, but without a role for the data. A role that was given within the last five minutes may not '
        'count yet: then wait. A service that is closed to public networks answers so, too, to everyone outside of '
        'the network of its private endpoint. Otherwise whoever may assign roles there runs:',
        command,
        *(
            ['With --resource-group and the names of the service, az dicom check-access fills in the scope.']
            if 'SUBSCRIPTION_ID' in command
            else []
        ),
    ]


def unreachable(error: HostUnreachable, access: Access, *, look_up: LookUp = socket.getaddrinfo) -> Advice:
    """No connection: a proxy, an unknown name, a private endpoint, or a firewall."""
    host, proxy = _host(error.url), proxy_of(error.url)
    if proxy:
        return [
            f'The proxy {proxy} is in force, and looks the name up itself. It does not know {host}, does not '
            'allow it, or does not answer. Is the name right? Where the host can be reached without the proxy:',
            Command(f'export NO_PROXY="$NO_PROXY,{host}"'),
        ]
    addresses = addresses_of(host, look_up=look_up)
    if not addresses:
        return [
            f'{host} is not known here: workspace or service are misspelled, or the name is known only in the '
            'network of a private endpoint. The names of the services that there are:',
            LIST_SERVICES,
        ]
    if _is_private(addresses[0]):
        return [
            f'{host} leads to the private address {addresses[0]}, as that of a private endpoint: it answers only '
            'inside its network. Run this there, or connect this machine to it.',
            *_public_access(access),
        ]
    return [
        f'{host} has the address {addresses[0]}, but a firewall is in between, or a proxy is needed and not named '
        '(HTTPS_PROXY).',
        *_public_access(access),
    ]


def untrusted(_error: TlsFailed | None = None, _access: Access | None = None) -> Advice:
    """TLS that cannot be trusted, with the service or with the sign-in."""
    return [
        'A proxy or a server with a certificate authority of its own is in between, which REQUESTS_CA_BUNDLE has '
        'to name:',
        Command('export REQUESTS_CA_BUNDLE=/path/to/authority.pem'),
    ]


def signed_out(tenant: str | None) -> Advice:
    """az has no account at all."""
    return [
        'There is no sign-in, or it is kept in another folder (AZURE_CONFIG_DIR). Sign in:',
        Command('az login' + (f' --tenant {tenant}' if tenant else '')),
    ]


def of_core(error: Exception, *, tenant: str | None) -> Advice:
    """The advice that an error of az carries, core's own included, whose commands are lines like any other."""
    if "'az login'" in str(error):  # Please run 'az login' to setup account.
        return signed_out(tenant)
    lines = [line for text in getattr(error, 'recommendations', ()) for line in _lines(text)]
    return [line for line in lines if line not in ('', 'az logout')]


def _lines(text: str) -> Advice:
    if isinstance(text, Command):
        return [text]
    return [Command(line) if line.startswith('az ') else line for line in text.splitlines()]


def proxy_of(url: str) -> str | None:
    """Host and port of the proxy that is in force for the address, without its password."""
    from requests.utils import get_environ_proxies, select_proxy

    proxy = select_proxy(url, get_environ_proxies(url))
    if not proxy:
        return None
    return urlsplit(proxy if '://' in proxy else f'//{proxy}').netloc.rpartition('@')[2]


def addresses_of(host: str, *, look_up: LookUp = socket.getaddrinfo) -> list[str]:
    """What the name leads to on this machine; nothing where it is not known."""
    try:
        return [str(found[4][0]) for found in look_up(host, None, type=socket.SOCK_STREAM)]
    except (OSError, UnicodeError):
        return []


def _wanted_audience(error: Unauthorized) -> str | None:
    """By the service's challenge, or as it is documented for the service's cloud."""
    match = _AUDIENCE.search(error.challenge or '')
    cloud = cloud_of_host(_host(error.url))
    return match[1] if match else cloud.audience if cloud else None


def _public_access(access: Access) -> Advice:
    scope = access.scope()
    return (
        []
        if scope is None
        else [
            'Whether the service is open to public networks:',
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
