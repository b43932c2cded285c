"""What the tab key offers of Azure: names of workspaces and of DICOM services.

As in az itself, they are those of the active subscription: argcomplete does not say which one stands on the line.
The shell waits for an answer at every press of the key, so it is asked for once, and briefly. Without one, nothing is
offered.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from azure.cli.core.decorators import Completer

_TIMEOUT_SECONDS = 5.0


@Completer
def complete_workspace_name(cmd: Any, _prefix: str, namespace: Any) -> list[str]:
    """Workspaces that have a DICOM service."""
    return sorted({workspace for workspace, _ in _services(cmd, namespace)})


@Completer
def complete_dicom_service_name(cmd: Any, _prefix: str, namespace: Any) -> list[str]:
    """DICOM services, of the workspace that stands before on the line."""
    wanted = (namespace.workspace_name or '').lower()
    return sorted({name for workspace, name in _services(cmd, namespace) if wanted in ('', workspace.lower())})


def _services(cmd: Any, namespace: Any) -> Iterator[tuple[str, str]]:
    """Workspace and name of each service, of the resource group where one stands before on the line."""
    from knack.util import CLIError

    from azext_dicomtoken._arm import read_names
    from azext_dicomtoken._invocation import Invocation
    from dicomfeed.errors import FeedError

    with suppress(CLIError, FeedError):
        yield from read_names(
            Invocation(cmd.cli_ctx),
            resource_group_name=namespace.resource_group_name,
            timeout_seconds=_TIMEOUT_SECONDS,
        )
