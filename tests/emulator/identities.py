"""Who lives in the emulated directory: tenants, people, service principals, subscriptions.

Owned: the fixed demo identities under well-known names, as plain values.
Not owned: what they may do: sign in (`entra.py`), read a feed (the roles of each DICOM service).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Tenant:
    id: str
    domain: str
    name: str


@dataclass(frozen=True)
class Subscription:
    id: str
    name: str
    tenant: Tenant


@dataclass(frozen=True)
class User:
    """A person; `object_ids` has an entry for each tenant (by ID) that the person is a member or guest of."""

    username: str
    name: str
    object_ids: Mapping[str, str]


@dataclass(frozen=True)
class ServicePrincipal:
    """An application or a managed identity; `object_ids` are its service principals', not its registration's."""

    name: str
    client_id: str
    object_ids: Mapping[str, str]
    secret: str | None = field(default=None, repr=False)


Principal = User | ServicePrincipal

AZURE_CLI_CLIENT_ID = '04b07795-8ddb-461a-bbee-02f9e1bf7b46'

HOME_TENANT = Tenant('70000000-0000-4000-8000-000000000001', 'contoso.onmicrosoft.com', 'Contoso')
FOREIGN_TENANT = Tenant('70000000-0000-4000-8000-000000000002', 'fabrikam.onmicrosoft.com', 'Fabrikam')
TENANTS = (HOME_TENANT, FOREIGN_TENANT)

IMAGING_SUBSCRIPTION = Subscription('50000000-0000-4000-8000-000000000001', 'Contoso Imaging', HOME_TENANT)
RESEARCH_SUBSCRIPTION = Subscription('50000000-0000-4000-8000-000000000002', 'Contoso Research', HOME_TENANT)
FOREIGN_SUBSCRIPTION = Subscription('50000000-0000-4000-8000-000000000003', 'Fabrikam', FOREIGN_TENANT)
SUBSCRIPTIONS = (IMAGING_SUBSCRIPTION, RESEARCH_SUBSCRIPTION, FOREIGN_SUBSCRIPTION)

READER_APPLICATION = ServicePrincipal(
    name='feed-reader',
    client_id='a0000000-0000-4000-8000-000000000001',
    object_ids={
        HOME_TENANT.id: 'e0000000-0000-4000-8000-000000000001',
        FOREIGN_TENANT.id: 'e0000000-0000-4000-8000-000000000101',
    },
    secret='demo-secret-of-the-feed-reader',
)
ROLELESS_APPLICATION = ServicePrincipal(
    name='without-a-role',
    client_id='a0000000-0000-4000-8000-000000000002',
    object_ids={HOME_TENANT.id: 'e0000000-0000-4000-8000-000000000002'},
    secret='demo-secret-without-a-role',
)
MANAGED_IDENTITY = ServicePrincipal(
    name='imaging-host',
    client_id='a0000000-0000-4000-8000-000000000003',
    object_ids={HOME_TENANT.id: 'e0000000-0000-4000-8000-000000000003'},
)
READER_USER = User(
    username='robin@contoso.onmicrosoft.com',
    name='Robin Reader',
    object_ids={
        HOME_TENANT.id: 'e0000000-0000-4000-8000-000000000004',
        FOREIGN_TENANT.id: 'e0000000-0000-4000-8000-000000000104',
    },
)
PRINCIPALS: tuple[Principal, ...] = (READER_APPLICATION, ROLELESS_APPLICATION, MANAGED_IDENTITY, READER_USER)
READERS = (READER_APPLICATION, MANAGED_IDENTITY, READER_USER)
