"""The ways to sign in to az, as one table.

Owned: the arguments of `az login` for each kind of account, who it is then, in which environment it works, and machines
that are signed in.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.machine import Machine
from tests.emulator.cloud import Emulator
from tests.emulator.credentials import self_signed_certificate
from tests.emulator.entra import DICOM_AUDIENCE
from tests.emulator.identities import (
    HOME_TENANT,
    MANAGED_IDENTITY,
    READER_APPLICATION,
    READER_USER,
    ROLELESS_APPLICATION,
    Principal,
    ServicePrincipal,
)


@dataclass(frozen=True)
class Login:
    """`arguments` prepares what the login needs, such as a certificate in the folder, and returns its arguments."""

    principal: Principal
    arguments: Callable[[Emulator, Path], tuple[str, ...]]
    environment: Callable[[Emulator], Mapping[str, str]] = lambda emulator: emulator.environment

    @property
    def object_id(self) -> str:
        return self.principal.object_ids[HOME_TENANT.id]


def _service_principal(application: ServicePrincipal) -> tuple[str, ...]:
    return 'login', '--service-principal', '--username', application.client_id, '--tenant', HOME_TENANT.id


def _certificate(emulator: Emulator, folder: Path) -> tuple[str, ...]:
    pem, certificate = self_signed_certificate('feed-reader')
    emulator.entra.client_credentials.register_certificate(READER_APPLICATION, certificate)
    (folder / 'reader.pem').write_bytes(pem)
    return *_service_principal(READER_APPLICATION), '--certificate', str(folder / 'reader.pem')


def _federated_token(emulator: Emulator, _folder: Path) -> tuple[str, ...]:
    token = emulator.entra.client_credentials.federate(READER_APPLICATION, 'repo:contoso/imaging')
    return *_service_principal(READER_APPLICATION), '--federated-token', token


def _identity(_emulator: Emulator, _folder: Path) -> tuple[str, ...]:
    return 'login', '--identity'


LOGINS = {
    'secret': Login(
        READER_APPLICATION,
        lambda _, __: (*_service_principal(READER_APPLICATION), '--password', str(READER_APPLICATION.secret)),
    ),
    'certificate': Login(READER_APPLICATION, _certificate),
    'federated': Login(READER_APPLICATION, _federated_token),
    'user': Login(READER_USER, lambda _, __: ('login', '--use-device-code')),
    'managed-identity': Login(MANAGED_IDENTITY, _identity, lambda emulator: emulator.managed_identity_environment),
    'cloud-shell': Login(READER_USER, _identity, lambda emulator: emulator.cloud_shell_environment),
    'without-a-role': Login(
        ROLELESS_APPLICATION,
        lambda _, __: (*_service_principal(ROLELESS_APPLICATION), '--password', str(ROLELESS_APPLICATION.secret)),
    ),
}


@contextmanager
def dicom_in_cloud_shell(emulator: Emulator) -> Iterator[None]:
    """Cloud Shell's token broker has our audience on its list, for so long."""
    emulator.token_endpoints.cloud_shell_audiences.add(DICOM_AUDIENCE)
    try:
        yield
    finally:
        emulator.token_endpoints.cloud_shell_audiences.discard(DICOM_AUDIENCE)


@dataclass(frozen=True)
class SignIn:
    """Called with a kind of login, gives a machine in `folder` that has it.

    Each kind signs in once, in `originals`, and every test has a copy of its own.
    """

    emulator: Emulator
    extensions: Path
    originals: Path
    folder: Path

    def __call__(self, kind: str) -> Machine:
        login, original = LOGINS[kind], self.originals / kind
        if not original.exists():
            original.mkdir()
            self._machine(login, original).result(*login.arguments(self.emulator, original))
        shutil.copytree(original, self.folder, dirs_exist_ok=True)
        return self._machine(login, self.folder)

    def _machine(self, login: Login, folder: Path) -> Machine:
        return Machine(
            folder,
            extensions=self.extensions,
            environment={**login.environment(self.emulator), 'DICOM_SERVICE_URL': self.emulator.service_url},
        )
