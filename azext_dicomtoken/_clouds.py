"""What is documented of the DICOM service in each of Microsoft's clouds."""

from __future__ import annotations

from typing import NamedTuple

SHARED_AUDIENCE = 'https://dicom.healthcareapis.azure.com'


class DicomCloud(NamedTuple):
    """A cloud as `az cloud` names it; None for what is not documented."""

    name: str
    suffix: str | None = None
    audience: str | None = None


# Sources: "Get an access token" for the public cloud, the table of private-endpoint DNS zones for the other.
_CLOUDS = {
    cloud.name: cloud
    for cloud in (
        DicomCloud('AzureCloud', 'dicom.azurehealthcareapis.com', SHARED_AUDIENCE),
        DicomCloud('AzureUSGovernment', 'dicom.azurehealthcareapis.us'),
    )
}


def dicom_cloud(name: str) -> DicomCloud:
    """By its name; of one that is not known nothing is documented."""
    return _CLOUDS.get(name, DicomCloud(name))


def cloud_of_host(host: str) -> DicomCloud | None:
    """The cloud whose DICOM services have names like this."""
    return next((cloud for cloud in _CLOUDS.values() if host.endswith(f'.{cloud.suffix}')), None)
