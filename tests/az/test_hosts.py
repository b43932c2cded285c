"""What az knows of hosts and audiences, and what each verdict says.

The rule itself: `tests/feed/test_trust.py`.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from azure.cli.core.azclierror import InvalidArgumentValueError
from azure.cli.core.cloud import KNOWN_CLOUDS, Cloud, CloudEndpoints

from azext_dicomtoken._hosts import known_audiences, origin_of, refuse_untrusted

EVIL = 'https://evil.example'
ENDPOINTS = {
    f'{cloud.name} {name}': (cloud, value)
    for cloud in KNOWN_CLOUDS
    for name, value in vars(cloud.endpoints).items()
    if isinstance(value, str) and value.startswith('https://')
}
STACK = Cloud('Stack', endpoints=CloudEndpoints(active_directory_resource_id='https://arm.stack.example/'))


def cli(name: str = 'AzureCloud') -> Any:
    return SimpleNamespace(cloud=next(cloud for cloud in (*KNOWN_CLOUDS, STACK) if cloud.name == name))


def refusal(url: str, audience: str = 'api://own', *, cloud: str = 'AzureCloud', is_typed: bool = True) -> Any:
    """The error for the URL and the audience."""
    with pytest.raises(InvalidArgumentValueError) as caught:
        origin = origin_of(url, source='--service-url')
        refuse_untrusted(origin, audience, cli_ctx=cli(cloud), is_typed=is_typed, source='--service-url')
    return caught.value


@pytest.mark.parametrize('name', ENDPOINTS)
def test_t3_audience_of_an_endpoint_of_any_cloud_goes_to_no_stranger(name: str) -> None:
    cloud, audience = ENDPOINTS[name]
    for spelled in (audience, audience.rstrip('/'), audience.upper()):
        error = refusal(EVIL, spelled, cloud=cloud.name)
        assert error.error_msg.startswith("The audience is one of Microsoft's own services")


def test_t3_audience_of_an_endpoint_of_a_custom_cloud_goes_to_no_stranger() -> None:
    assert known_audiences(cli('Stack')) == {'https://arm.stack.example/'}
    assert 'no other host' in refusal(EVIL, 'https://arm.stack.example', cloud='Stack').error_msg


@pytest.mark.parametrize(
    ('url', 'is_typed', 'message', 'advice'),
    [
        ('https://evil.example/studies', True, "The service URL isn't valid.", 'comes from --service-url'),
        ('http://evil.example', True, 'A token is sent over https only.', 'with https://'),
        (EVIL, False, 'The service URL does not lead to', 'The active cloud is AzureCloud.'.lower()),
        ('https://x.dicom.azurehealthcareapis.us', False, 'The service URL does not', 'az cloud set --name AzureUSGov'),
    ],
    ids=['no URL', 'not https', 'other host', 'other cloud'],
)
def test_refusal_says_why_and_what_to_do(url: str, is_typed: bool, message: str, advice: str) -> None:
    error = refusal(url, is_typed=is_typed)
    assert error.error_msg.startswith(message) and advice.lower() in ' '.join(error.recommendations).lower()


@pytest.mark.parametrize('url', ['http://127.0.0.1:8080', 'http://localhost:8080', 'https://dicom.hospital.example'])
def test_server_of_ones_own_gets_a_token_of_its_own(url: str) -> None:
    origin = origin_of(url, source='--service-url')
    refuse_untrusted(origin, 'api://own', cli_ctx=cli(), is_typed=True, source='--service-url')
