"""The emulated role assignments: as much as `az role assignment create` asks of Azure Resource Manager.

Owned: the form of role definitions and assignments on a DICOM service.
Not owned: who may create one (everyone with a token, here); what a role allows (`dicom.py`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from tests.emulator.dicom import OWNER, READER

_AUTHORIZATION = r'(?P<scope>/subscriptions/.+)/providers/microsoft\.authorization'
_DEFINITIONS = re.compile(rf'{_AUTHORIZATION}/roledefinitions', re.IGNORECASE)
_ASSIGNMENT = re.compile(rf'{_AUTHORIZATION}/roleassignments/(?P<name>[0-9a-f-]{{36}})', re.IGNORECASE)
_ROLE_IDS = {
    READER: 'e89c7a3c-2f64-4fa1-a847-3e4c9ba4283a',
    OWNER: '58a3b984-7adf-4c20-983a-32417c86fbc8',
}
"""Azure's own, which are the same in every subscription."""


@dataclass(frozen=True)
class Assignment:
    """A role for a principal at a scope, all as they were given."""

    scope: str
    role: str
    principal_id: str


def definitions(path: str, wanted: str) -> list[dict[str, object]] | None:
    """The role definitions that a `$filter` asks for; None for another path."""
    match = _DEFINITIONS.fullmatch(path)
    if match is None:
        return None
    return [
        {
            'id': f'{match["scope"]}/providers/Microsoft.Authorization/roleDefinitions/{role_id}',
            'name': role_id,
            'type': 'Microsoft.Authorization/roleDefinitions',
            'properties': {'roleName': role, 'type': 'BuiltInRole', 'assignableScopes': ['/'], 'permissions': []},
        }
        for role, role_id in _ROLE_IDS.items()
        if not wanted or f"rolename eq '{role.lower()}'" in wanted.lower()
    ]


def assigned(path: str, properties: dict[str, str], assign: Callable[[Assignment], None]) -> dict[str, object] | None:
    """The assignment that was made; None for another path or role."""
    match = _ASSIGNMENT.fullmatch(path)
    roles = {role_id: role for role, role_id in _ROLE_IDS.items()}
    role = roles.get(properties.get('roleDefinitionId', '').rpartition('/')[2])
    if match is None or role is None:
        return None
    assign(Assignment(match['scope'], role, properties['principalId']))
    return {
        'id': path,
        'name': match['name'],
        'type': 'Microsoft.Authorization/roleAssignments',
        'properties': {**properties, 'scope': match['scope']},
    }
