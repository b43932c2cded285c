"""A new token where the cached one is no longer good, from each kind of login that can be made to renew."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.logins import LOGINS, SignIn
from tests.emulator.cloud import Emulator
from tests.emulator.entra import DICOM_AUDIENCE
from tests.emulator.identities import FOREIGN_TENANT, HOME_TENANT, Tenant
from tests.emulator.tokens import TokenRejected

ISSUE = ('dicom', 'token', 'issue')
renewable = pytest.mark.parametrize('kind', ['secret', 'certificate', 'user'])


def verified(emulator: Emulator, result: dict[str, Any]) -> dict[str, object]:
    return emulator.entra.verify(result['accessToken'], audiences=[DICOM_AUDIENCE])


@renewable
@pytest.mark.parametrize('tenant', [HOME_TENANT, FOREIGN_TENANT], ids=['home', 'foreign'])
def test_forced_refresh_gives_another_token_of_the_same_tenant(
    kind: str, tenant: Tenant, sign_in: SignIn, emulator: Emulator
) -> None:
    machine = sign_in(kind)
    first = machine.result(*ISSUE, '--tenant', tenant.id)
    emulator.entra.revoke(LOGINS[kind].principal)
    with pytest.raises(TokenRejected):
        verified(emulator, first)
    forced = machine.result(*ISSUE, '--tenant', tenant.id, '--force-refresh')
    assert forced['accessToken'] != first['accessToken']
    assert verified(emulator, forced)['tid'] == forced['tenant'] == tenant.id


@renewable
def test_feed_renews_a_token_that_was_revoked(kind: str, sign_in: SignIn, emulator: Emulator) -> None:
    machine = sign_in(kind)
    machine.result(*ISSUE)  # it is in az's cache now
    emulator.entra.revoke(LOGINS[kind].principal)
    emulator.journal.clear()
    events = machine.result('dicom', 'changefeed', '--service-url', emulator.service_url)
    assert len(events) == len(emulator.service.store.events())
    assert [request.status for request in emulator.journal.requests if 'changefeed' in request.path].count(401) == 1
