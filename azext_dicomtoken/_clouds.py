"""What is documented of the DICOM service in each of Microsoft's clouds."""
from __future__ import annotations

from typing import NamedTuple

SHARED_AUDIENCE = 'https://dicom.healthcareapis.azure.com'


class DicomCloud(NamedTuple):
    """None for what is not documented."""

    suffix: str | None = None
    audience: str | None = None


# Sources: "Get an access token" for the public cloud, the table of private-endpoint DNS zones for the other.
_CLOUDS = {
    'AzureCloud': DicomCloud('dicom.azurehealthcareapis.com', SHARED_AUDIENCE),
    'AzureUSGovernment': DicomCloud('dicom.azurehealthcareapis.us'),
}


def dicom_cloud(name: str) -> DicomCloud:
    """By the name that `az cloud` has for it; one that is not known documents nothing."""
    return _CLOUDS.get(name, DicomCloud())
