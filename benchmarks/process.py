"""Commands as processes, and what they used: time, processor time, peak memory."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Command = Sequence[str]


@dataclass(frozen=True)
class Usage:
    """What a pipeline used, from its start until its last process had ended.

    `cpu_seconds` is user and system time of all its processes. `peak_mib` is the largest resident set among them;
    Linux counts the parent's, too, up to the moment of exec, so the process that measures has to be the smaller one.
    """

    wall_seconds: float
    cpu_seconds: float
    peak_mib: float


def run(*pipeline: Command, environment: Mapping[str, str], output: Path) -> Usage:
    """Run the commands as a pipe into the file. Raises RuntimeError with their words where one fails."""
    errors = output.with_name(output.name + '.errors')
    with ExitStack() as stack:
        last_output = stack.enter_context(output.open('wb'))
        error_output = stack.enter_context(errors.open('wb'))
        began = time.perf_counter()
        processes: list[subprocess.Popen[bytes]] = []
        for command in pipeline:
            is_last = len(processes) == len(pipeline) - 1
            source = processes[-1].stdout if processes else None
            processes.append(
                subprocess.Popen(
                    command,
                    env=environment,
                    stdin=source or subprocess.DEVNULL,
                    stdout=last_output if is_last else subprocess.PIPE,
                    stderr=error_output,
                )
            )
            if source is not None:
                source.close()
        resources = [_waited(process) for process in processes]
        wall = time.perf_counter() - began
    if any(process.returncode for process in processes):
        raise RuntimeError(f'{pipeline[0][:4]}: {errors.read_text("utf-8", "replace")[-2000:]}')
    return Usage(
        wall, sum(used.ru_utime + used.ru_stime for used in resources), max(used.ru_maxrss for used in resources) / 1024
    )


def _waited(process: subprocess.Popen[bytes]) -> Any:
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used
