"""Which host may receive which access token.

Owned: the grammar of a service URL, what is documented of the DICOM service in each cloud, and the rule that judges a
URL together with an audience. Not owned: which service is meant and what to tell the user (the CLI layer).

Only the standard library, and no exception: each function returns a value, so that the smallest command can ask.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from enum import Enum
from typing import NamedTuple

SHARED_AUDIENCE = 'https://dicom.healthcareapis.azure.com'
"""The audience of every DICOM service in the public cloud ("Get an access token")."""

_BLANKS = ' \t\r\n'
_DEFAULT_PORTS = {'https': 443, 'http': 80}

# Narrower than RFC 3986 on purpose: what does not match here, no other parser gets to read differently.
_SERVICE_URL = (
    r'(?:(?P<scheme>https?)://)?(?:(?P<name>[a-z0-9.-]+)|\[(?P<ipv6>[0-9a-f:.]+)\])(?::(?P<port>[0-9]{1,5}))?'
    r'(?:/v[12](?:/changefeed)?)?/?'
)
_LABEL = r'[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?'

# Domains of Microsoft's own services, in every cloud; the host names in az's table of clouds are all below one of them.
_MICROSOFT_DOMAINS = (
    *('azure.com', 'azure.net', 'azure.us', 'azure.cn', 'azure.microsoft.scloud', 'azure.eaglex.ic.gov'),
    *(
        'windows.net',
        'windowsazure.com',
        'windowsazure.us',
        'windowsazure.cn',
        'microsoftazure.de',
        'microsoftazure.us',
    ),
    *('usgovcloudapi.net', 'chinacloudapi.cn', 'cloudapi.de', 'cloudapi.microsoft.scloud', 'cloudapi.eaglex.ic.gov'),
    *('sovcloud-api.fr', 'sovcloud-api.de', 'sovcloud-azure.fr', 'sovcloud-azure.de', 'sovcloud.fr', 'sovcloud.de'),
    *('sovcloud-identity.fr', 'sovcloud-identity.de'),
    *('microsoft.com', 'microsoft.us', 'microsoft.de', 'microsoft.cn', 'microsoft.scloud', 'microsoft.eaglex.ic.gov'),
    *('microsoftonline.com', 'microsoftonline.us', 'microsoftonline.de', 'microsoftonline.cn'),
    *('microsoftonline-p.com', 'microsoftonline.microsoft.scloud', 'microsoftonline.eaglex.ic.gov'),
    *(
        'office.com',
        'office.us',
        'office.net',
        'office.de',
        'office365.com',
        'office365.us',
        'office.cn',
        'outlook.com',
    ),
    *('live.com', 'onenote.com', 'skype.com', 'teams.us'),
    *('sharepoint.com', 'sharepoint.us', 'sharepoint.de', 'sharepoint.cn', 'sharepoint-mil.us'),
    *('powerbi.com', 'powerbi.cn', 'powerbi.de', 'powerbigov.us', 'mil.powerbigov.us', 'powerapps.com', 'powerapps.us'),
    *('powerplatform.com', 'dynamics.com', 'dynamics.us', 'dynamics.cn', 'dynamics.de', 'microsoftdynamics.us'),
    *('microsoftdynamics.de', 'appsplatform.us', 'visualstudio.com', 'visualstudio.us', 'vsassets.io'),
    *('azuresynapse.net', 'azuredatalakestore.net', 'azuredatabricks.net', 'azureml.ms', 'azconfig.io', 'azurecr.io'),
    *(
        'loganalytics.io',
        'loganalytics.us',
        'applicationinsights.io',
        'applicationinsights.us',
        'azuredigitaltwins.net',
    ),
    *('azurehealthcareapis.com', 'azurehealthcareapis.us', 'azurehealthcareapis.cn'),
)

# Microsoft Entra ID takes the ID of an application for a resource as well as its URL. Those of its oldest services have
# a form of their own; the rest are listed in Microsoft's and the Azure CLI's documentation.
_OLDEST_APPLICATIONS = r'0000[0-9a-f]{4}-0000-(?:0000-c000|0ff1-ce00)-000000000000'
_MICROSOFT_APPLICATIONS = frozenset(
    {
        '75e725bf-66ce-4cea-9b9a-5c4caae57f33',  # Azure API for DICOM
        '4f6778d8-5aef-43dc-a1ff-b073724b9495',  # Azure Healthcare APIs (FHIR)
        '797f4846-ba00-4fd7-ba43-dac1f8f63013',  # Azure Resource Manager
        'cfa8b339-82a2-471a-a3c9-0fc0be7a4093',  # Azure Key Vault
        '7e7c393b-45d0-48b1-a35e-2905ddf8183c',  # Azure Key Vault (US Government)
        'e406a681-f3d4-42a8-90b6-c2b029497af1',  # Azure Storage
        '022907d3-0f1b-48f7-badc-1ba6abab6d66',  # Azure SQL Database
        '499b84ac-1321-427f-aa17-267ca6975798',  # Azure DevOps
        '6dae42f8-4368-4678-94ff-3960e28e3630',  # Azure Kubernetes Service
        '2746ea77-4702-4b45-80ca-3c97e680e8b7',  # Azure Data Explorer
        'ca7f3f0b-7d91-482c-8e09-c5d840d0eac5',  # Log Analytics
        'f5c26e74-f226-4ae8-85f0-b4af0080ac9e',  # Application Insights
        '2ff814a6-3304-4ab8-85cb-cd0e6f879c1d',  # Azure Databricks
        '7d312290-28c8-473c-a0ed-8e53749b6d6d',  # Azure AI services
        '18a66f5f-dbdf-4c17-9dd7-1634712a9cbe',  # Azure Machine Learning
        'c5393580-f805-4401-95e8-94b7a6ef2fc2',  # Office 365 Management
        'fc780465-2017-40d4-a0c5-307022471b92',  # Microsoft Defender for Endpoint
        '80369ed6-5f11-4dd9-bef3-692475845e77',  # Azure Event Hubs
        'abfa0a7c-a6b6-4736-8310-5855508787cd',  # Azure App Service
        '6a02c803-dafd-4136-b4c3-5a6f318b4714',  # Azure App Service (US Government)
    }
)


class Cloud(NamedTuple):
    """The DICOM service in one of Microsoft's clouds, which `name` names as `az cloud` does.

    :ivar suffix: of the hosts of services; None where it is not documented.
    :ivar audience: the audience of every service; None where it is not documented.
    """

    name: str
    suffix: str | None = None
    audience: str | None = None


# Sources: "Get an access token" for the public cloud, the table of private-endpoint DNS zones for US Government.
CLOUDS = {
    cloud.name: cloud
    for cloud in (
        Cloud('AzureCloud', 'dicom.azurehealthcareapis.com', SHARED_AUDIENCE),
        Cloud('AzureUSGovernment', 'dicom.azurehealthcareapis.us'),
    )
}


class Origin(NamedTuple):
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
        """Whether it is https on the default port."""
        return self.scheme == 'https' and self.port is None

    def is_under(self, suffix: str | None) -> bool:
        """Whether this is a DICOM service of the cloud with that suffix; none is under the suffix None."""
        return suffix is not None and self.is_plain_https() and self.host.endswith('.' + suffix)

    def is_loopback(self) -> bool:
        """Whether it is this machine, by a name or an address that no look-up can turn into another one."""
        import ipaddress  # only a private server pays for it

        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == 'localhost'


class Verdict(Enum):
    """Whether a token may go to a host, or why not."""

    TRUSTED = 'trusted'
    NOT_HTTPS = 'not https'
    OTHER_HOST = 'not a DICOM host of the cloud'
    NOT_A_PRIVATE_AUDIENCE = "an audience of Microsoft's own"


def cloud_named(name: str) -> Cloud:
    """The cloud of that name; nothing is documented of a cloud that is not known."""
    return CLOUDS.get(name, Cloud(name))


def cloud_of_host(host: str) -> Cloud | None:
    """The cloud whose DICOM services have host names like this one."""
    return next((cloud for cloud in CLOUDS.values() if host.endswith(f'.{cloud.suffix}')), None)


def is_dicom_host(url: str, cloud: Cloud) -> bool:
    """Whether the URL leads to a DICOM service of that cloud, so that its words can be believed."""
    origin = parse_origin(url)
    return origin is not None and origin.is_under(cloud.suffix)


def parse_origin(url: str) -> Origin | None:
    """The scheme, host and port of a service URL, or None for a text that is not one.

    A bare host name means https. Blanks around the URL and a slash, `/v1`, `/v2`, `/v1/changefeed` or `/v2/changefeed`
    at its end are dropped; a user name, a query, a fragment or any other path is not accepted.
    """
    match = re.fullmatch(_SERVICE_URL, url.strip(_BLANKS), re.IGNORECASE | re.ASCII)
    if match is None or not _is_host(match):
        return None
    scheme = (match['scheme'] or 'https').lower()
    port = int(match['port']) if match['port'] else _DEFAULT_PORTS[scheme]
    if not 0 < port < 65536:
        return None
    host = match['ipv6'] or match['name'].removesuffix('.')
    return Origin(scheme, host.lower(), None if port == _DEFAULT_PORTS[scheme] else port)


def judge(
    origin: Origin, audience: str, *, cloud: Cloud, is_typed: bool, known_audiences: Collection[str] = ()
) -> Verdict:
    """Whether a token for the audience may be sent to the origin.

    :param cloud: the active one; its own DICOM services are always trusted.
    :param is_typed: whether a person typed both the URL and the audience with this command. Only that opens any other
        host, and only for an audience that no service of Microsoft's accepts.
    :param known_audiences: audiences of the active cloud's endpoints, beside those known here.
    """
    if origin.is_under(cloud.suffix):
        return Verdict.TRUSTED
    if origin.scheme != 'https' and not origin.is_loopback():
        return Verdict.NOT_HTTPS
    if not is_typed:
        return Verdict.OTHER_HOST
    if not is_private_audience(audience, known_audiences=known_audiences):
        return Verdict.NOT_A_PRIVATE_AUDIENCE
    return Verdict.TRUSTED


def is_private_audience(audience: str, *, known_audiences: Collection[str] = ()) -> bool:
    """Whether a token for the audience is of no use with a service of Microsoft's, however the audience is spelled.

    Entra ID resolves URLs with and without slash, scopes, application IDs and service principal names that hold both.
    So every host name and every ID in the text counts, not only its beginning.
    """
    text = audience.strip(_BLANKS).lower()
    if not text or '%' in text or any(_same_audience(text, known) for known in known_audiences):
        return False  # no audience needs an escape
    hosts = re.findall(r'[a-z0-9_-]+(?:\.+[a-z0-9_-]+)+', text, re.ASCII)
    ids = re.findall(r'[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}', text, re.ASCII)
    return not any(map(_is_microsoft_host, hosts)) and not any(map(_is_microsoft_application, ids))


def _same_audience(text: str, known: str) -> bool:
    known = known.lower().rstrip('/')
    return bool(known) and (text.rstrip('/') == known or text.startswith(known + '/'))


def _is_microsoft_host(host: str) -> bool:
    return any(host == domain or host.endswith('.' + domain) for domain in _MICROSOFT_DOMAINS)


def _is_microsoft_application(identifier: str) -> bool:
    return identifier in _MICROSOFT_APPLICATIONS or bool(re.fullmatch(_OLDEST_APPLICATIONS, identifier))


def _is_host(match: re.Match[str]) -> bool:
    if match['ipv6'] is None:
        labels = match['name'].lower().removesuffix('.').split('.')
        return all(re.fullmatch(_LABEL, label) for label in labels)
    import ipaddress

    try:
        return bool(ipaddress.IPv6Address(match['ipv6']))
    except ValueError:
        return False
