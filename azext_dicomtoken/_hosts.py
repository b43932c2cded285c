"""To which hosts a token may go: the grammar of a service URL, and the rule that judges one.

Which URL is meant is decided in `_service`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from azure.cli.core.azclierror import InvalidArgumentValueError

from azext_dicomtoken._clouds import SHARED_AUDIENCE, DicomCloud, cloud_of_host

# The application behind the shared audience; Entra ID takes its ID for a resource as well.
_SHARED_APP_ID = '75e725bf-66ce-4cea-9b9a-5c4caae57f33'

# Narrower than RFC 3986 on purpose: what is not matched here, no other parser gets to read differently.
_SERVICE_URL = re.compile(
    r'(?P<scheme>https?)://(?:(?P<name>[a-z0-9.-]+)|\[(?P<ipv6>[0-9a-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?'
    r'(?:/v[12])?(?:/changefeed)?/?',
    re.IGNORECASE | re.ASCII,
)
_LABEL = re.compile(r'[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?')
_DEFAULT_PORTS = {'https': 443, 'http': 80}


@dataclass(frozen=True)
class Origin:
    """Scheme, host and port in their one normal form.

    :ivar host: lower case, no trailing dot, no brackets.
    :ivar port: None where it is the scheme's own.
    """

    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        host = f'[{self.host}]' if ':' in self.host else self.host
        return f'{self.scheme}://{host}' + (f':{self.port}' if self.port else '')

    def is_plain_https(self) -> bool:
        return self.scheme == 'https' and self.port is None

    def is_under(self, suffix: str | None) -> bool:
        """Whether this is a DICOM service of the cloud with that suffix; no cloud has the suffix None."""
        return suffix is not None and self.is_plain_https() and self.host.endswith('.' + suffix)

    def is_loopback(self) -> bool:
        import ipaddress  # only a server of one's own pays for it

        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == 'localhost'


def parse_service_url(url: str) -> Origin:
    """Read a service URL; a version and `changefeed` at its end mean nothing.

    :raises InvalidArgumentValueError: for anything but scheme, host, port and such an end.
    """
    match = _SERVICE_URL.fullmatch(url)
    if match is None or not _is_host(match):
        raise _not_a_service_url()
    scheme = match['scheme'].lower()
    port = int(match['port']) if match['port'] else _DEFAULT_PORTS[scheme]
    if not 0 < port < 65536:
        raise _not_a_service_url()
    host = match['ipv6'] or match['name'].removesuffix('.')
    return Origin(scheme, host.lower(), None if port == _DEFAULT_PORTS[scheme] else port)


def refuse_untrusted(origin: Origin, cloud: DicomCloud, *, own_server: bool) -> None:
    """Refuse a host that is no DICOM service of the active `cloud`, unless the user vouches for it.

    :param own_server: whether `--service-url` was typed together with an audience for which `is_own_audience`.
    """
    if origin.is_under(cloud.suffix):
        return
    if origin.scheme != 'https' and not origin.is_loopback():
        raise InvalidArgumentValueError(
            'A token is sent over https only.', recommendation='Write the service URL with https://.'
        )
    if not own_server:
        raise InvalidArgumentValueError(
            'The service URL does not lead to a DICOM service of the active cloud.',
            recommendation=_advice_for_untrusted(origin, cloud),
        )


def is_own_audience(resource: str | None) -> bool:
    """Whether a token for that audience is of no use with Microsoft's DICOM services, however it is spelled."""
    text = (resource or '').lower()
    return bool(text) and SHARED_AUDIENCE.removeprefix('https://') not in text and _SHARED_APP_ID not in text


def _advice_for_untrusted(origin: Origin, cloud: DicomCloud) -> list[str]:
    other = cloud_of_host(origin.host)
    if other and other != cloud:
        return [
            f'It belongs to the cloud {other.name}, but {cloud.name} is active. Change over, then sign in there:',
            f'az cloud set --name {other.name}',
        ]
    return [
        f'The active cloud is {cloud.name}. Correct the URL, or choose the cloud: az cloud set --name NAME',
        'For a server of your own, type --service-url together with --resource and the audience that this server '
        'alone accepts.',
    ]


def _is_host(match: re.Match[str]) -> bool:
    if match['ipv6'] is None:
        return all(map(_LABEL.fullmatch, match['name'].lower().removesuffix('.').split('.')))
    import ipaddress

    try:
        return bool(ipaddress.IPv6Address(match['ipv6']))
    except ValueError:
        return False


def _not_a_service_url() -> InvalidArgumentValueError:
    return InvalidArgumentValueError(
        'The service URL is not one.',
        recommendation='It looks like https://WORKSPACE-SERVICE.dicom.azurehealthcareapis.com, without user name, '
        'query or fragment; an international host name is written in its xn-- form.',
    )
