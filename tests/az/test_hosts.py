"""Which hosts may have a token: the grammar and the rule, against what an attacker or a slip would write."""

from __future__ import annotations

import pytest
from azure.cli.core.azclierror import InvalidArgumentValueError

from azext_dicomtoken._clouds import DicomCloud, dicom_cloud
from azext_dicomtoken._hosts import is_own_audience, parse_service_url, refuse_untrusted

CLOUD = dicom_cloud('AzureCloud')
SUFFIX = CLOUD.suffix
GOOD = f'https://contoso-imaging.{SUFFIX}'


@pytest.mark.parametrize(
    'end', ['', '/', '/v1', '/v2', '/v2/', '/v2/changefeed', '/V2/ChangeFeed/', ':443', ':443/v1', './v2', ':0443']
)
def test_url_loses_what_means_nothing(end: str) -> None:
    assert str(parse_service_url(GOOD + end)) == GOOD


def test_url_is_written_in_lower_case() -> None:
    assert str(parse_service_url(GOOD.upper())) == GOOD


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
        f' https://x.{SUFFIX}',
        f'https://x.{SUFFIX} ',
        f'https://x.{SUFFIX}\n',
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
        f'https://x.{SUFFIX}/v2/../x',
        f'https:/x.{SUFFIX}',
        f'https:///x.{SUFFIX}',
        f'//x.{SUFFIX}',
        f'x.{SUFFIX}',
        f'ftp://x.{SUFFIX}',
        'https://',
        '',
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
def test_url_of_another_shape_is_refused(url: str) -> None:
    with pytest.raises(InvalidArgumentValueError):
        parse_service_url(url)


OTHER_HOSTS = [
    f'https://evil{SUFFIX}',
    f'https://x.{SUFFIX}.evil.example',
    'https://evil.example',
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
def test_other_host_gets_no_token(url: str) -> None:
    with pytest.raises(InvalidArgumentValueError):
        refuse_untrusted(parse_service_url(url), CLOUD, own_server=False)


@pytest.mark.parametrize('url', OTHER_HOSTS)
def test_other_host_is_fine_for_a_server_of_ones_own(url: str) -> None:
    refuse_untrusted(parse_service_url(url), CLOUD, own_server=True)


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
def test_plain_http_is_refused_even_for_a_server_of_ones_own(url: str) -> None:
    with pytest.raises(InvalidArgumentValueError, match='https only'):
        refuse_untrusted(parse_service_url(url), CLOUD, own_server=True)


@pytest.mark.parametrize(
    'url', ['http://127.0.0.1:8080', 'http://localhost:8080', 'http://[::1]:8080', 'http://127.1.2.3']
)
def test_plain_http_is_for_loopback_and_a_server_of_ones_own(url: str) -> None:
    refuse_untrusted(parse_service_url(url), CLOUD, own_server=True)
    with pytest.raises(InvalidArgumentValueError):
        refuse_untrusted(parse_service_url(url), CLOUD, own_server=False)


@pytest.mark.parametrize(
    ('suffix', 'advice'),
    [
        ('dicom.azurehealthcareapis.us', 'az cloud set --name AzureUSGovernment'),
        ('evil.example', 'The active cloud is AzureCloud.'),
    ],
)
def test_refusal_names_the_clouds(suffix: str, advice: str) -> None:
    with pytest.raises(InvalidArgumentValueError) as caught:
        refuse_untrusted(parse_service_url(f'https://x.{suffix}'), CLOUD, own_server=False)
    assert advice in ' '.join(caught.value.recommendations)


def test_cloud_without_a_suffix_trusts_no_host() -> None:
    with pytest.raises(InvalidArgumentValueError):
        refuse_untrusted(parse_service_url(GOOD), DicomCloud('AzureChinaCloud'), own_server=False)


@pytest.mark.parametrize(
    'resource',
    [
        None,
        '',
        'https://dicom.healthcareapis.azure.com',
        'https://dicom.healthcareapis.azure.com/',
        'HTTPS://DICOM.HealthcareApis.Azure.com',
        'https://dicom.healthcareapis.azure.com//',
        'api://dicom.healthcareapis.azure.com',
        '75E725BF-66CE-4CEA-9B9A-5C4CAAE57F33',
        'https://dicom.healthcareapis.azure.com/Dicom.ReadWrite',
    ],
)
def test_shared_audience_is_nobodys_own(resource: str | None) -> None:
    assert not is_own_audience(resource)


def test_private_audience_is_ones_own() -> None:
    assert is_own_audience('api://private-dicom')
