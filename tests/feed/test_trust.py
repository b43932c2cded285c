"""Which host may receive which token: the grammar and the rule, against what an attacker or a slip would write."""

from __future__ import annotations

import pytest

from dicomfeed.trust import (
    CLOUDS,
    SHARED_AUDIENCE,
    Cloud,
    Verdict,
    cloud_named,
    cloud_of_host,
    is_dicom_host,
    is_private_audience,
    judge,
    parse_origin,
)

CLOUD = CLOUDS['AzureCloud']
SUFFIX = CLOUD.suffix
GOOD = f'https://contoso-imaging.{SUFFIX}'
OWN = 'api://private-dicom'


def verdict(url: str, audience: str = OWN, *, cloud: Cloud = CLOUD, is_typed: bool = True) -> Verdict:
    origin = parse_origin(url)
    assert origin is not None
    return judge(origin, audience, cloud=cloud, is_typed=is_typed)


@pytest.mark.parametrize(
    'end',
    [
        '',
        '/',
        '/v1',
        '/v2',
        '/v2/',
        '/v1/changefeed',
        '/V2/ChangeFeed/',
        ':443',
        ':443/v1',
        './v2',
        ':0443',
        '\r',
        ' \n',
    ],
    ids=ascii,
)
def test_url_loses_what_means_nothing(end: str) -> None:
    assert str(parse_origin(GOOD + end)) == GOOD


@pytest.mark.parametrize('url', [GOOD.removeprefix('https://'), GOOD.upper(), f'\t{GOOD}\r\n'], ids=ascii)
def test_url_has_one_form(url: str) -> None:
    assert str(parse_origin(url)) == GOOD


@pytest.mark.parametrize(
    'url',
    [
        f'https://user@x.{SUFFIX}',
        f'https://user:pass@x.{SUFFIX}',
        f'https://x.{SUFFIX}@evil.example',
        f'https://evil.example\\@x.{SUFFIX}',
        f'https://evil.example\\.{SUFFIX}',
        f'https://evil.example#.{SUFFIX}',
        f'https://evil.example?.{SUFFIX}',
        f'https://evil.example%2f.{SUFFIX}',
        f'https://evil.example%00.{SUFFIX}',
        f'https://evil.example\t.{SUFFIX}',
        f'https://evil.example\n.{SUFFIX}',
        f'https://x.{SUFFIX}\r.evil.example',
        f'https://x.{SUFFIX}?a=b',
        f'https://x.{SUFFIX}#a',
        f'https://x..{SUFFIX}',
        f'https://.{SUFFIX}',
        f'https://-x.{SUFFIX}',
        f'https://x.{SUFFIX}..',
        f'https://{"x" * 64}.{SUFFIX}',
        f'https://x\u3002{SUFFIX}',
        f'https://é.{SUFFIX}',
        f'https://\u212a.{SUFFIX}',
        f'https://x.{SUFFIX}:0',
        f'https://x.{SUFFIX}:65536',
        f'https://x.{SUFFIX}:',
        f'https://x.{SUFFIX}:+443',
        f'https://x.{SUFFIX}/studies',
        f'https://x.{SUFFIX}/changefeed',
        f'https://x.{SUFFIX}/v2/changefeed/latest',
        f'https://x.{SUFFIX}/v2/../x',
        f'https:/x.{SUFFIX}',
        f'https:///x.{SUFFIX}',
        f'//x.{SUFFIX}',
        f'ftp://x.{SUFFIX}',
        'https://',
        '',
        ' ',
        'https://[::1',
        'https://[::zz]',
        'https://[1.2.3.4]',
        'https://[fe80::1%25eth0]',
        f'https://x\x00.{SUFFIX}',
        f'https://x.{SUFFIX}\u0660',
        f'https://x.{SUFFIX}:\u0664\u0664\u0663',
        f'https://x_y.{SUFFIX}',
    ],
    ids=ascii,
)
def test_url_of_another_shape_is_no_service_url(url: str) -> None:
    assert parse_origin(url) is None


OTHER_HOSTS = [
    f'https://evil{SUFFIX}',
    f'https://x.{SUFFIX}.evil.example',
    'https://evil.example',
    'evil.example',
    f'https://{SUFFIX}',
    f'https://x.{SUFFIX}:8443',
    'https://127.0.0.1',
    'https://2130706433',
    'https://[::1]',
    'https://localhost',
    'https://x.dicom.azurehealthcareapis.us',
    'https://x.azurehealthcareapis.com',
    'https://xn--80ak6aa92e.com',
    f'https://x.privatelink-{SUFFIX}',
]


@pytest.mark.parametrize('url', OTHER_HOSTS)
def test_other_host_needs_a_typed_url_and_a_private_audience(url: str) -> None:
    assert verdict(url, is_typed=False) is Verdict.OTHER_HOST
    assert verdict(url, SHARED_AUDIENCE) is Verdict.NOT_A_PRIVATE_AUDIENCE
    assert verdict(url) is Verdict.TRUSTED


@pytest.mark.parametrize('audience', [OWN, SHARED_AUDIENCE, 'https://management.azure.com'])
@pytest.mark.parametrize('is_typed', [True, False])
def test_dicom_host_of_the_cloud_is_trusted(audience: str, is_typed: bool) -> None:
    assert verdict(GOOD, audience, is_typed=is_typed) is Verdict.TRUSTED


@pytest.mark.parametrize(
    'url',
    [
        f'http://x.{SUFFIX}',
        f'http://x.{SUFFIX}:443',
        'http://server.example',
        'http://127.0.0.1.evil.example',
        'http://localhost.evil.example',
        'http://2130706433',
        'http://10.0.0.1',
        'http://[2001:db8::1]',
        'http://0.0.0.0',
    ],
)
def test_plain_http_is_for_loopback_alone(url: str) -> None:
    assert verdict(url) is Verdict.NOT_HTTPS


@pytest.mark.parametrize(
    'url', ['http://127.0.0.1:8080', 'http://localhost:8080', 'http://[::1]:8080', 'http://127.1.2.3']
)
def test_plain_http_to_loopback_is_for_a_private_server(url: str) -> None:
    assert verdict(url) is Verdict.TRUSTED
    assert verdict(url, is_typed=False) is Verdict.OTHER_HOST


def test_cloud_without_a_suffix_has_no_host() -> None:
    assert verdict(GOOD, cloud=cloud_named('AzureChinaCloud'), is_typed=False) is Verdict.OTHER_HOST


def test_words_are_believed_of_dicom_hosts_alone() -> None:
    assert is_dicom_host(GOOD + '/v2', CLOUD)
    assert not any(is_dicom_host(url, CLOUD) for url in [*OTHER_HOSTS, 'not a URL'])


def test_cloud_is_told_by_the_host() -> None:
    assert cloud_of_host('x.dicom.azurehealthcareapis.us') == CLOUDS['AzureUSGovernment']
    assert cloud_of_host('evil.example') is None


@pytest.mark.parametrize(
    'audience',
    [
        '',
        ' ',
        SHARED_AUDIENCE,
        SHARED_AUDIENCE + '/',
        SHARED_AUDIENCE + '//',
        SHARED_AUDIENCE.upper(),
        'api://dicom.healthcareapis.azure.com',
        'https://dicom.healthcareapis.azure.com/Dicom.ReadWrite',
        '75E725BF-66CE-4CEA-9B9A-5C4CAAE57F33',
        'https://management.azure.com',
        'https://management.azure.com/.default',
        'https://management.azure.com:443/',
        'https://management.azure.com.',
        'https://management..azure.com',
        'https://x@management.azure.com',
        'https://management%2eazure.com',
        'management.azure.com',
        'https://graph.microsoft.com',
        'https://graph.microsoft.us',
        'https://vault.azure.net',
        'https://contoso.vault.azure.net/',
        'https://storage.azure.com',
        'https://contoso.blob.core.windows.net',
        'https://management.usgovcloudapi.net',
        'https://management.chinacloudapi.cn',
        'https://login.microsoftonline.com',
        'https://outlook.office365.com',
        'https://contoso.sharepoint.com',
        'https://analysis.windows.net/powerbi/api',
        'https://contoso.crm.dynamics.com',
        'https://app.vssps.visualstudio.com',
        'https://contoso-fhir.fhir.azurehealthcareapis.com',
        '00000003-0000-0000-c000-000000000000',
        'spn:00000002-0000-0ff1-ce00-000000000000',
        '00000003-0000-0000-C000-000000000000/graph.microsoft.com@tenant',
        'api://797f4846-ba00-4fd7-ba43-dac1f8f63013/.default',
        'cfa8b339-82a2-471a-a3c9-0fc0be7a4093',
    ],
)
def test_audience_of_microsoft_is_not_private(audience: str) -> None:
    assert not is_private_audience(audience)


@pytest.mark.parametrize(
    'audience',
    [
        OWN,
        'api://1b7a9e0c-3c3e-4e3e-9a36-0c0f3b4a1d2e',
        '1b7a9e0c-3c3e-4e3e-9a36-0c0f3b4a1d2e',
        'https://dicom.hospital.example',
        'https://contoso.onmicrosoft.com/dicom',
        'https://notazure.com',
        'https://azure.company.example',
    ],
)
def test_audience_of_ones_own_is_private(audience: str) -> None:
    assert is_private_audience(audience)


@pytest.mark.parametrize(
    'audience', ['https://arm.stack.example', 'HTTPS://arm.stack.example/', ' https://arm.stack.example/x']
)
def test_audience_of_an_endpoint_of_the_cloud_is_not_private(audience: str) -> None:
    assert is_private_audience(audience)
    assert not is_private_audience(audience, known_audiences=['https://arm.stack.example/'])
