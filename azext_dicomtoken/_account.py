"""How the account of az signed in, and the command that signs it in again in the same way.

Only values: `_login` reads them from az's files. Nothing here is secret.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

USER = 'user'
SECRET = 'service principal with a secret'
CERTIFICATE = 'service principal with a certificate'
FEDERATED = 'service principal with a federated token'
SERVICE_PRINCIPAL = 'service principal'
MANAGED_IDENTITY = 'managed identity'
CLOUD_SHELL = 'Cloud Shell'

# What az keeps of a user-assigned identity, `MSIClient-…`, and the option of `az login` that takes it.
IDENTITY_OPTIONS = {'MSIClient': '--client-id', 'MSIObject': '--object-id', 'MSIResource': '--resource-id'}
_WORD = r'[A-Za-z0-9_@%+=:,./-]+'


@dataclass(frozen=True)
class Account:
    """An account as az keeps it.

    :ivar name: of the user, or the application ID of a service principal.
    :ivar way: how it signed in: one of the names above.
    :ivar identity: option and ID of a user-assigned managed identity.
    :ivar certificate: path of a service principal's certificate.
    :ivar has_subscription: False for an account of a tenant alone, which `az login` takes only when told to.
    """

    name: str
    way: str
    tenant: str
    identity: tuple[str, str] | None = None
    certificate: str | None = None
    has_subscription: bool = True

    def login_command(self, tenant: str | None = None) -> str:
        """How it signs in again, in that tenant or in its own; az asks a service principal for its secret."""
        words = ['az login', *self._credential()]
        if self.way != MANAGED_IDENTITY:
            words += ['--tenant', tenant or self.tenant]
        if not self.has_subscription:
            words.append('--allow-no-subscriptions')
        return ' '.join(words)

    def _credential(self) -> list[str]:
        if self.way == MANAGED_IDENTITY:
            return ['--identity', *map(quoted, self.identity or ())]
        if self.way in (USER, CLOUD_SHELL):
            return []
        words = ['--service-principal', '--username', quoted(self.name)]
        if self.way == CERTIFICATE:
            words += ['--certificate', quoted(self.certificate or 'CERTIFICATE.pem')]
        elif self.way == FEDERATED:
            words += ['--federated-token', 'FEDERATED_TOKEN']
        return words


def quoted(text: str, *, windows: bool = os.name == 'nt') -> str:
    """The text as one word of a command; most are one already."""
    if re.fullmatch(_WORD, text, re.ASCII):
        return text
    if windows:
        import subprocess

        return subprocess.list2cmdline([text])
    import shlex

    return shlex.quote(text)
