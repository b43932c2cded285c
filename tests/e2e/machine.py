"""A machine with the real az on it: one configuration folder, one environment, az and a shell as processes.

Owned: how processes are started and what they inherit: nothing of this machine but PATH and the time zone.
Not owned: sign-in (`logins.py`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

Done = subprocess.CompletedProcess[str]

TIMEOUT_SECONDS = 300
"""The bound of every wait: far above what the slowest machine needs."""
INHERITED = {name: os.environ[name] for name in ('TZ',) if name in os.environ}
PATH = os.pathsep.join((os.path.dirname(sys.executable), os.environ['PATH']))


class Machine:
    """What az keeps is in `folder`, extensions are in `extensions`; `environment` is what leads it to a cloud."""

    def __init__(self, folder: Path, *, extensions: Path, environment: Mapping[str, str]) -> None:
        self.folder = folder
        self.environment = {
            'PATH': PATH,
            'HOME': str(folder),
            'LC_ALL': 'C.UTF-8',
            **INHERITED,
            'AZURE_CONFIG_DIR': str(folder / 'azure'),
            'AZURE_EXTENSION_DIR': str(extensions),
            'AZURE_CORE_COLLECT_TELEMETRY': 'false',
            'AZURE_CORE_NO_COLOR': 'true',
            **environment,
        }

    def az(self, *arguments: str) -> Done:
        return self._run('az', *arguments)

    def shell(self, script: str) -> Done:
        """Run bash in the machine's folder; a failure within a pipe is one of the script."""
        return self._run('bash', '-euo', 'pipefail', '-c', script)

    def result(self, *arguments: str) -> Any:
        """What a command that succeeds returns."""
        done = self.az(*arguments, '-o', 'json')
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def _run(self, *command: str) -> Done:
        return subprocess.run(
            command,
            env=self.environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
