"""The seed of it all: a token from az for the real curl, and for scripts that took theirs from core's command."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.e2e.arguments import PROCESSES, ArgumentsWatch
from tests.e2e.logins import SignIn
from tests.emulator import trouble
from tests.emulator.cloud import Emulator
from tests.emulator.entra import DICOM_AUDIENCE

CURL = 'curl -sS --fail "$DICOM_SERVICE_URL/v2/changefeed?limit=5"'
FROM_VARIABLE = f'printf "Authorization: Bearer %s" "$token" | {CURL} -H @-'
WAYS = {
    'header': f'az dicom token issue --format header | {CURL} -H @-',
    'curl-config': f'az dicom token issue --format curl-config | {CURL} -K -',
    'query': f'token=$(az dicom token issue --query accessToken -o tsv); {FROM_VARIABLE}',
    'token': f'token=$(az dicom token issue --format token); {FROM_VARIABLE}',
    'env': f'eval "$(az dicom token issue --format env --variable-name token)"; {FROM_VARIABLE}',
    'file': f'az dicom token issue --format header --output-file header; {CURL} -H @header',
}
ON_THE_COMMAND_LINE = (
    f'token=$(az dicom token issue --query accessToken -o tsv); {CURL} -H "Authorization: Bearer $token"'
)
needs_proc = pytest.mark.skipif(not PROCESSES.exists(), reason='only Linux shows arguments in /proc')


@pytest.fixture
def watch(emulator: Emulator) -> Iterator[ArgumentsWatch]:
    """curl gets its answer when it has been seen."""
    with ArgumentsWatch() as watch:
        emulator.service.trouble.when(lambda request: not watch.wait_for('curl -sS --fail'), trouble.cut())
        yield watch
    emulator.service.trouble.clear()


def sent_token(emulator: Emulator) -> str:
    (request,) = (request for request in emulator.journal.requests if request.path == '/v2/changefeed')
    return request.headers['authorization'].removeprefix('Bearer ')


@needs_proc
@pytest.mark.parametrize('script', WAYS.values(), ids=WAYS)
def test_curl_reads_the_feed_and_no_process_shows_the_token(
    script: str, sign_in: SignIn, emulator: Emulator, watch: ArgumentsWatch
) -> None:
    machine = sign_in('secret')
    emulator.journal.clear()
    done = machine.shell(script)
    assert done.returncode == 0, done.stderr
    assert [event['sequence'] for event in json.loads(done.stdout)] == [1, 2, 3, 4, 5]
    assert watch.shows('dicom token issue') and watch.shows('curl -sS --fail')
    assert not watch.shows(sent_token(emulator))


@needs_proc
def test_watch_sees_a_token_on_a_command_line(sign_in: SignIn, emulator: Emulator, watch: ArgumentsWatch) -> None:
    """What the test above rests on."""
    machine = sign_in('secret')
    emulator.journal.clear()
    machine.shell(ON_THE_COMMAND_LINE)
    assert watch.shows(sent_token(emulator))


@pytest.mark.parametrize(
    'command', [f'account get-access-token --resource {DICOM_AUDIENCE}', 'dicom token issue'], ids=['core', 'extension']
)
def test_script_for_cores_command_runs_with_ours(command: str, sign_in: SignIn) -> None:
    done = sign_in('secret').shell(f'token=$(az {command} --query accessToken -o tsv); {FROM_VARIABLE}')
    assert [event['sequence'] for event in json.loads(done.stdout)] == [1, 2, 3, 4, 5], done.stderr


def test_env_sets_token_and_expiry(sign_in: SignIn) -> None:
    done = sign_in('secret').shell(
        'eval "$(az dicom token issue --format env)"\n'
        'env | grep -c "^DICOM_ACCESS_TOKEN=ey"\n'
        'echo $((DICOM_ACCESS_TOKEN_EXPIRES_ON > $(date +%s)))'
    )
    assert done.stdout.split() == ['1', '1'], done.stderr
