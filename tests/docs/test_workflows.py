"""The workflows of GitHub: which code of others they run, with which rights, and that they run what is there."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / '.github' / 'workflows').glob('*.yml'))
TARGETS = set(re.findall(r'^([a-z-]+):', (ROOT / 'Makefile').read_text('utf-8'), re.MULTILINE))

each_workflow = pytest.mark.parametrize('path', FILES, ids=lambda path: path.stem)


def load(path: Path) -> dict[Any, Any]:
    return yaml.safe_load(path.read_text('utf-8'))


def jobs(path: Path) -> list[dict[str, Any]]:
    return list(load(path)['jobs'].values())


def scripts(path: Path) -> list[str]:
    return [step['run'] for job in jobs(path) for step in job.get('steps', []) if 'run' in step]


@each_workflow
def test_foreign_action_is_pinned_to_a_commit_with_its_version(path: Path) -> None:
    used = re.findall(r'\buses: *(.*)', path.read_text('utf-8'))
    foreign = [action for action in used if not action.startswith('./.github/workflows/')]
    assert [action for action in foreign if not re.fullmatch(r'[\w/-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+', action)] == []
    assert all((ROOT / action).is_file() for action in used if action not in foreign)


@each_workflow
def test_workflow_may_read_and_a_job_says_what_more_it_may(path: Path) -> None:
    assert load(path)['permissions'] == {'contents': 'read'}
    more = [job['permissions'] for job in jobs(path) if 'permissions' in job]
    assert more == ([{'contents': 'write'}] if path.stem == 'release' else [])


@each_workflow
def test_checkout_leaves_no_credential(path: Path) -> None:
    steps = [step for job in jobs(path) for step in job.get('steps', []) if 'checkout' in step.get('uses', '')]
    assert [step['with']['persist-credentials'] for step in steps] == [False]


@each_workflow
def test_expressions_stay_out_of_scripts(path: Path) -> None:
    """A name of a branch or a tag that is pasted into a script is run by it."""
    assert [script for script in scripts(path) if '${{' in script] == []


@each_workflow
def test_commands_are_there(path: Path) -> None:
    lines = '\n'.join(scripts(path))
    assert set(re.findall(r'^make ([a-z-]+)', lines, re.MULTILINE)) <= TARGETS
    files = re.findall(r'^(\.\S+)', lines, re.MULTILINE)
    assert all(os.access(ROOT / file, os.X_OK) for file in files)


def test_ci_runs_what_make_calls_everything() -> None:
    assert scripts(ROOT / '.github' / 'workflows' / 'test.yml') == ['.ci/run']
    assert (ROOT / '.ci' / 'run').read_text('utf-8').rstrip().endswith('\nmake test') and 'test' in TARGETS
