"""The workflows of GitHub: which code of others they run, with which rights, and that they run what is there."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
FILES = sorted((ROOT / '.github' / 'workflows').glob('*.yml'))
TESTS = ROOT / '.github' / 'workflows' / 'test.yml'
WEEKLY = TESTS.with_name('weekly.yml')
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
    assert steps and not any(step['with']['persist-credentials'] for step in steps)


@each_workflow
def test_expressions_stay_out_of_scripts(path: Path) -> None:
    """A name of a branch or a tag that is pasted into a script is run by it."""
    assert [script for script in scripts(path) if '${{' in script] == []


def listed(path: Path) -> set[str]:
    """The targets of make that a job of the workflow runs one by one."""
    every = [job.get('strategy', {}).get('matrix', {}) for job in jobs(path)]
    return {target for matrix in every for target in matrix.get('target', [])}


@each_workflow
def test_commands_are_there(path: Path) -> None:
    lines = '\n'.join(scripts(path))
    assert set(re.findall(r'^make ([a-z-]+)', lines, re.MULTILINE)) | listed(path) <= TARGETS
    files = re.findall(r'^(\.\S+)', lines, re.MULTILINE)
    assert all(os.access(ROOT / file, os.X_OK) for file in files)


def test_ci_runs_every_stage() -> None:
    steps = load(TESTS)['jobs']['test']['steps']
    assert [step['run'] for step in steps if 'run' in step] == ['.ci/run']
    (stages,) = re.findall(r'^for stage in (.*); do$', (ROOT / '.ci' / 'run').read_text('utf-8'), re.MULTILINE)
    assert set(stages.split()) == {target for target in TARGETS if re.fullmatch('test(-.*)?|spark', target)}


def test_what_is_no_stage_runs_once_a_week_and_is_named_to_contributors() -> None:
    (job,) = jobs(WEEKLY)
    assert job['steps'][-1] == {'run': 'make "$TARGET"', 'env': {'TARGET': '${{ matrix.target }}'}}
    text = (ROOT / 'CONTRIBUTING.md').read_text('utf-8')
    named = re.search(r'workflow `weekly` runs what is not a stage: (.*?)\.', text, re.DOTALL)
    assert named and set(re.findall(r'`make ([a-z-]+)`', named[1])) == listed(WEEKLY) != set()


def test_other_systems_fail_nothing_until_they_have_passed() -> None:
    every = load(TESTS)['jobs']
    assert [name for name, job in every.items() if job['runs-on'] != 'ubuntu-24.04'] == ['experimental']
    assert every['experimental']['continue-on-error'] is True
    systems = every['experimental']['strategy']['matrix']['system']
    assert [system.partition('-')[0] for system in systems] == ['macos', 'windows']
    named = re.findall(r'(?:tests|scripts)/[\w./-]+', '\n'.join(scripts(TESTS)))
    assert {'tests/az', 'tests/feed'} <= set(named) and all((ROOT / name).exists() for name in named)


def test_bot_updates_every_requirement_and_action() -> None:
    updates = load(ROOT / '.github' / 'dependabot.yml')['updates']
    folders = {folder for update in updates for folder in update.get('directories', [update.get('directory')])}
    pinned = {f'/{path.parent.relative_to(ROOT)}' for path in ROOT.glob('[!.]*/**/*requirements.txt')}
    assert folders == pinned | {'/'} and {update['package-ecosystem'] for update in updates} == {
        'github-actions',
        'pip',
    }


@pytest.mark.parametrize('name', ['bug.yml', 'idea.yml'])
def test_form_warns_of_tokens_and_events(name: str) -> None:
    form = load(ROOT / '.github' / 'ISSUE_TEMPLATE' / name)
    assert form['body'][0]['type'] == 'markdown' and 'Never paste' in form['body'][0]['attributes']['value']
    fields = [field['attributes']['label'] for field in form['body'][1:]]
    assert len(set(fields)) == len(fields) > 1


def copy_with_make(folder: Path, script: str) -> Path:
    """`.ci/run` in a folder of its own, where `make` is that script; apt-get and the rest are not asked for."""
    (folder / '.ci').mkdir()
    (folder / 'bin').mkdir()
    for program in ('make', 'fish', 'jq', 'chromium', 'Orthanc', 'java'):
        (folder / 'bin' / program).write_text(f'#!/bin/sh\n{script}\n', 'utf-8')
        (folder / 'bin' / program).chmod(0o755)
    return Path(shutil.copy2(ROOT / '.ci' / 'run', folder / '.ci' / 'run'))


STAGES = ('test', 'test-slow', 'spark')


@pytest.mark.parametrize('failing', ['none', *STAGES])
def test_ci_runs_on_after_a_failure_and_ends_with_it(failing: str, tmp_path: Path) -> None:
    run = copy_with_make(tmp_path, f'[ "$2" != {failing} ]')
    path = os.pathsep.join((str(tmp_path / 'bin'), os.environ['PATH']))
    done = subprocess.run([run], env={'PATH': path}, capture_output=True, text=True, check=False)
    results = re.findall(r'^make (\S+) +(\w+) after \d+ min \d\d s$', done.stdout, re.MULTILINE)
    assert results == [(stage, 'FAILED' if stage == failing else 'passed') for stage in STAGES]
    assert done.returncode == (failing != 'none'), done.stderr
