"""Which service and audience come out of what was typed and configured, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from azure.cli.core import azclierror
from knack.validators import DefaultStr

from azext_dicomtoken._invocation import Invocation
from azext_dicomtoken._service import AudienceUnknown, Service, resolve_service

AUDIENCE = 'https://dicom.healthcareapis.azure.com'
URL = 'https://contoso-imaging.dicom.azurehealthcareapis.com'
US_URL = 'https://contoso-imaging.dicom.azurehealthcareapis.us'
NAMES = {'workspace_name': 'contoso', 'dicom_service_name': 'imaging'}
TYPED = ('contoso', 'imaging')
OWN = 'http://127.0.0.1:8080'


@dataclass
class FakeCli:
    """As much of az as a service needs that is found without asking anybody."""

    cloud_name: str = 'AzureCloud'
    data: dict[str, Any] = field(default_factory=dict)

    @property
    def cloud(self) -> SimpleNamespace:
        return SimpleNamespace(name=self.cloud_name, endpoints=SimpleNamespace(arm='https://management.azure.com/'))


Resolve = Callable[..., Service]


@pytest.fixture
def resolve() -> Resolve:
    def run(*, cloud: str = 'AzureCloud', **options: Any) -> Service:
        return resolve_service(Invocation(FakeCli(cloud)), **options)

    return run


@pytest.mark.parametrize(
    ('options', 'service'),
    [
        ({'service_url': URL + '/v2'}, Service(URL, AUDIENCE)),
        ({'service_url': DefaultStr(URL)}, Service(URL, AUDIENCE)),
        (NAMES, Service(URL, AUDIENCE, names=TYPED)),
        (
            {**NAMES, 'service_url': DefaultStr('https://other.dicom.azurehealthcareapis.com')},
            Service(URL, AUDIENCE, names=TYPED),
        ),
        ({'service_url': URL, 'resource_group_name': DefaultStr('group')}, Service(URL, AUDIENCE)),
        ({'service_url': URL, 'resource': AUDIENCE + '/'}, Service(URL, AUDIENCE + '/')),
        ({'service_url': OWN, 'resource': 'api://own'}, Service(OWN, 'api://own')),
        ({**NAMES, 'cloud': 'AzureUSGovernment', 'resource': 'https://us'}, Service(US_URL, 'https://us', names=TYPED)),
        (
            {'service_url': US_URL, 'cloud': 'AzureUSGovernment', 'resource': 'https://us'},
            Service(US_URL, 'https://us'),
        ),
        (
            {'service_url': 'https://x.example', 'cloud': 'AzureChinaCloud', 'resource': 'https://cn'},
            Service('https://x.example', 'https://cn'),
        ),
        ({**NAMES, 'resource_group_name': DefaultStr('other')}, Service(URL, AUDIENCE, names=TYPED)),
        ({'service_url': URL.removeprefix('https://')}, Service(URL, AUDIENCE)),
        ({'url_required': False}, Service(None, AUDIENCE)),
        ({'url_required': False, 'service_url': DefaultStr(OWN)}, Service(None, AUDIENCE)),
        (
            {'url_required': False, 'cloud': 'AzureChinaCloud', 'resource': 'https://cn', **NAMES},
            Service(None, 'https://cn', names=TYPED),
        ),
    ],
    ids=[
        'url',
        'configured url',
        'names',
        'names beat configured url',
        'configured group needs names',
        'resource as typed',
        'own server',
        'government names',
        'government url',
        'unknown cloud',
        'n22 configured group is not needed',
        'bare host',
        'audience only',
        'configured url not looked at',
        'names in an unknown cloud',
    ],
)
def test_service_is_found(resolve: Resolve, options: dict[str, Any], service: Service) -> None:
    assert resolve(**options) == service


@pytest.mark.parametrize(
    ('options', 'error'),
    [
        ({}, azclierror.RequiredArgumentMissingError),
        ({'workspace_name': 'contoso'}, azclierror.RequiredArgumentMissingError),
        ({'dicom_service_name': 'imaging', 'url_required': False}, azclierror.RequiredArgumentMissingError),
        ({**NAMES, 'service_url': URL}, azclierror.MutuallyExclusiveArgumentError),
        ({'service_url': URL, 'resource_group_name': 'group'}, azclierror.RequiredArgumentMissingError),
        ({'workspace_name': 'a/b', 'dicom_service_name': 'c'}, azclierror.InvalidArgumentValueError),
        ({'workspace_name': 'a.evil.example/', 'dicom_service_name': 'c'}, azclierror.InvalidArgumentValueError),
        ({'workspace_name': 'w' * 40, 'dicom_service_name': 's' * 40}, azclierror.InvalidArgumentValueError),
        ({'service_url': OWN}, azclierror.InvalidArgumentValueError),
        ({'service_url': OWN, 'resource': AUDIENCE}, azclierror.InvalidArgumentValueError),
        ({'service_url': OWN, 'resource': 'https://management.azure.com'}, azclierror.InvalidArgumentValueError),
        ({'service_url': DefaultStr(OWN), 'resource': 'api://own'}, azclierror.InvalidArgumentValueError),
        ({'service_url': URL, 'resource': 'api://own https://dicom'}, azclierror.InvalidArgumentValueError),
        ({'service_url': URL, 'resource': 'api://own\n'}, azclierror.InvalidArgumentValueError),
        ({'service_url': URL, 'resource': ''}, azclierror.InvalidArgumentValueError),
        ({**NAMES, 'cloud': 'AzureUSGovernment'}, AudienceUnknown),
        ({**NAMES, 'cloud': 'AzureChinaCloud', 'resource': 'https://cn'}, azclierror.RequiredArgumentMissingError),
        ({'url_required': False, 'cloud': 'AzureChinaCloud'}, AudienceUnknown),
        ({'service_url': URL, 'cloud': 'AzureUSGovernment'}, azclierror.InvalidArgumentValueError),
        (
            {'service_url': DefaultStr('https://x.example'), 'cloud': 'AzureChinaCloud', 'resource': 'https://cn'},
            azclierror.InvalidArgumentValueError,
        ),
    ],
    ids=[
        'nothing',
        'one name',
        'other name',
        'url and names',
        'group without names',
        'slash in name',
        'host in name',
        'too long a label',
        'own server without audience',
        'own server with shared audience',
        't3 own server with the audience of an endpoint',
        'configured own server',
        'two audiences',
        'line break in audience',
        'empty audience',
        'government without audience',
        'names in an unknown cloud',
        'unknown audience',
        'host of another cloud',
        'configured host in an unknown cloud',
    ],
)
def test_service_is_refused(resolve: Resolve, options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error) as caught:
        resolve(**options)
    assert caught.value.recommendations


def test_unchecked_certificates_are_refused(resolve: Resolve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('AZURE_CLI_DISABLE_CONNECTION_VERIFICATION', '1')
    with pytest.raises(azclierror.InvalidArgumentValueError) as caught:
        resolve(service_url=URL)
    assert 'REQUESTS_CA_BUNDLE' in caught.value.recommendations[0]
