"""What `az dicom changefeed` refuses: each with one sentence and one piece of advice, before anything is sent.

Nobody is signed in here, so whatever is not refused ends with az's request to sign in.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from azext_dicomtoken._invocation import Invocation
from azext_dicomtoken.changefeed.options import checked
from azext_dicomtoken.changefeed.vocabulary import FILTERS
from tests.az.changefeed.conftest import FakeCli
from tests.az.conftest import Az

SERVICE = ('--service-url', 'https://contoso-imaging.dicom.azurehealthcareapis.com')
NOT_REFUSED = "ERROR: Please run 'az login' to setup account.\n"
LISTS = (*FILTERS, 'match', 'include_field')
TOKEN = 'WzEsMSwxLG51bGxd'  # sequence 1, tick 1, no end

OUT_OF_BOUNDS = [
    '--after-sequence -1',
    '--after-sequence 9223372036854775808',
    '--sequence 0',
    '--tail 0',
    '--tail 1000001',
    '--max-items 0',
    '--max-items=-5',
    '--max-items 1000001',
    '--concurrency 0',
    '--concurrency 33',
    '--follow --poll-interval 0s',
    '--follow --poll-interval 2d',
    '--settle 61m',
    '--stable-after 0.5s',
    '--stable-after 31d',
]
NOT_NUMBERS = [
    '--after-sequence x',
    '--after-sequence 1e3',
    '--sequence=',
    '--tail 1.5',
    '--max-items ten',
    '--concurrency 0x8',
]
TIMES = [
    'yesterday',
    '2026-13-01',
    '2026-02-30',
    '2026-01-31T25:00:00Z',
    '-1d',
    '1y',
    '2026-01-31T09:30:00 Europe/Berlin',
    '20260131',
    '0000-01-01',
    '١d',
]
DURATIONS = ['10', '-1s', '10 s', '30m1h', 's', 'soon', '1e3s']
UIDS = ['1.2.x', '1,2', '1' * 65, "1.2' OR 1=1"]
NEXT_TOKENS = ['x', TOKEN[:-1], TOKEN + 'A', 'WzIsMSwxLG51bGxd', 'e30', 'W10', 'WzEsLTEsMSxudWxsXQ', '☃', '[' * 5000]
EMPTY = [
    'service-url',
    'resource',
    'tenant',
    'start-time',
    'end-time',
    'next-token',
    'study-instance-uid',
    'partition-name',
    'output-file',
    'summary-file',
    'checkpoint',
    'poll-interval',
    'settle',
    'match',
    'match-file',
    'include-field',
    'stable-after',
]
EMPTY_WINDOWS = [
    '--start-time 2026-01-02 --end-time 2026-01-01',
    '--start-time 2026-01-02 --end-time 2026-01-02',
    '--start-time now --end-time 1d',
    '--end-time 0001-01-01',
]
TOGETHER = [
    *(
        f'{one} {other}'
        for one in ('--latest', '--sequence 3')
        for other in (
            '--start-time 1d',
            '--end-time now',
            '--after-sequence 0',
            '--tail 3',
            f'--next-token {TOKEN}',
            '--max-items 3',
            '--stream',
            '--output-file feed',
            '--follow',
            '--checkpoint check',
            '--summary-file summary',
        )
    ),
    '--latest --sequence 3',
    '--sequence 3 --action Create',
    '--sequence 3 --partition-name a',
    '--start-time 1d --after-sequence 0',
    '--start-time 1d --tail 3',
    f'--start-time 1d --next-token {TOKEN}',
    '--after-sequence 0 --tail 3',
    f'--after-sequence 0 --next-token {TOKEN}',
    f'--tail 3 --next-token {TOKEN}',
    '--end-time now --follow',
    '--end-time now --checkpoint check',
    '--end-time now --after-sequence 0',
    '--end-time now --tail 3',
    f'--end-time now --next-token {TOKEN}',
    '--tail 3 --max-items 3',
    '--tail 3 --checkpoint check',
    '--tail 3 --follow --checkpoint check',
    f'--next-token {TOKEN} --follow',
    f'--next-token {TOKEN} --checkpoint check',
    '--max-items 3 --stream',
    '--max-items 3 --output-file feed',
    '--max-items 3 --follow',
    '--stream --output-file feed',
    '--include-field Modality --include-metadata',
    '--include-field Modality --count-by day',
    '--include-field Modality --stable-after 10m',
    '--sequence 3 --match Modality=CT',
    '--sequence 3 --match-file present',
    '--stable-after 10m --latest',
    '--stable-after 10m --sequence 3',
    '--stable-after 10m --tail 3',
    '--stable-after 10m --tail 3 --follow',
    f'--stable-after 10m --next-token {TOKEN}',
    '--stable-after 10m --state Current',
    '--stable-after 10m --include-metadata',
    '--stable-after 10m --count-by study',
    '--stable-after 10m --max-items 3 --stream',
]
ALONE = [
    '--until-latest',
    '--until-latest --stream',
    '--until-latest --follow',
    '--poll-interval 5s',
    '--poll-interval 5s --output-file feed',
    '--overwrite',
    '--overwrite --stream',
    '--summary-file summary',
    '--summary-file summary --checkpoint check',
    '--checkpoint check',
    '--checkpoint check --max-items 5',
    '--level series',
    '--level series --stream',
    '--stable-after 10m --checkpoint check',
]
ONE_FILE = [
    '--output-file feed --checkpoint feed',
    '--output-file feed --checkpoint ./feed',
    '--output-file feed --summary-file feed',
    '--stream --checkpoint feed --summary-file feed',
    '--output-file feed --checkpoint link',
    '--output-file present --match-file present',
    '--stream --checkpoint feed --match-file link',
    '--stream --summary-file ./feed --match-file feed',
]
NOT_FILES = [
    '--output-file .',
    '--stream --checkpoint .',
    '--stream --summary-file .',
    '--output-file missing/feed',
    '--stream --checkpoint missing/check',
    '--stream --summary-file missing/summary',
    '--output-file present/feed',
]
AZ_OUTPUT = [
    '--output-file feed -o table',
    '--output-file feed -o yaml',
    '--follow --output-file feed -o table',
    '--stream -o table --query sequence',
    '--output-file - -o table --query sequence',
    '--stream -o jsonc',
    '--output-file - -o yaml',
    '--stream -o none',
    '--follow -o yaml',
]
FITTING = [
    '',
    '--latest --include-metadata',
    '--sequence 1',
    '--sequence 9223372036854775807',
    '--tail 1000000',
    '--after-sequence 0 --max-items 1',
    '--after-sequence 9223372036854775807',
    '--start-time 99999w',
    '--since 1d --until now --stream',
    f'--next-token {TOKEN} --max-items 3',
    '--follow --tail 3',
    '--follow --start-time 2026-01-31T09:30:00.1234567+01:00',
    '--follow --poll-interval 1s --until-latest --after-sequence 3',
    '--follow --until-latest --tail 3',
    '--follow --until-latest --checkpoint check',
    f'--next-token {TOKEN} --stream',
    f'--next-token {TOKEN} --output-file feed',
    '--stream -o table',
    '--output-file - -o table',
    '--follow -o table',
    '--output-file feed --query [sequence,action] -o tsv',
    '--output-file feed -o tsv',
    '--output-file feed -o json',
    '--output-file - --checkpoint check',
    '--output-file /dev/stdout',
    '--output-file feed.tsv -o tsv',
    '--output-file feed.jsonl.gz',
    '--output-file feed.2026',
    '--checkpoint check --start-time 1d --stream',
    '--output-file feed.gz --overwrite --summary-file summary',
    '--output-file feed.gz --summary-file summary --checkpoint check',
    '--output-file /dev/null',
    '--output-file feed -o json',
    '--stream -o tsv --query sequence',
    '--stream -o json',
    '--settle 0s',
    '--settle 60m',
    '--concurrency 32',
    '--action create --state CURRENT',
    '--study-instance-uid 1.2.3 1.2.4',
    '--match Modality=CT --match Modality=MR --max-items 3',
    '--match Modality=CT --include-metadata --follow',
    '--match Modality=CT --include-field PatientID 00100010 --stream',
    '--match Modality=CT --count-by day',
    '--match Modality=CT --latest',
    '--match-file conditions --match Modality=CT --tail 3',
    '--include-field RequestAttributesSequence.ScheduledProcedureStepID --sequence 3',
    '--stable-after 1s',
    '--stable-after 30D --level series --max-items 3 -o table',
    '--stable-after 10m --since 1d --until 1h',
    '--stable-after 1h30m --follow --level STUDY -o table',
    '--stable-after 10m --checkpoint check --stream --action Create',
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / 'present').write_text('not a folder')
    (tmp_path / 'link').symlink_to('feed')
    (tmp_path / 'conditions').write_text('Modality=CT')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(az: Az, *options: str) -> str:
    """The sentence of the error, after everything else about it was found to be right."""
    service = () if '--service-url' in options else SERVICE
    outcome = az('dicom', 'changefeed', *service, *options)
    assert (outcome.code, outcome.stdout) == (1, ''), outcome.stderr
    assert outcome.stderr != NOT_REFUSED
    error, advice = outcome.stderr.splitlines()
    assert error.startswith('ERROR: ') and error.endswith('.') and advice.endswith('.')
    return error.removeprefix('ERROR: ')


@pytest.mark.parametrize('options', OUT_OF_BOUNDS)
def test_number_out_of_bounds_is_refused(options: str, az: Az) -> None:
    assert refusal(az, *options.split()).endswith(' is out of bounds.')


@pytest.mark.parametrize(
    'options', [*NOT_NUMBERS, '--offset 3', '--action Foo', '--state Gone', '--study-instance-uid']
)
def test_what_the_parser_cannot_read_is_refused_by_it(options: str, az: Az) -> None:
    outcome = az('dicom', 'changefeed', *SERVICE, *options.split())
    assert (outcome.code, outcome.stdout) == (2, '') and outcome.stderr.startswith('ERROR: ')


@pytest.mark.parametrize('option', ['--start-time', '--since', '--end-time', '--until'])
@pytest.mark.parametrize('text', TIMES)
def test_text_that_is_no_time_is_refused(option: str, text: str, az: Az) -> None:
    assert refusal(az, f'{option}={text}') == f'The value of {option} is not a time.'


@pytest.mark.parametrize('option', ['--poll-interval', '--settle', '--stable-after'])
@pytest.mark.parametrize('text', DURATIONS)
def test_text_that_is_no_duration_is_refused(option: str, text: str, az: Az) -> None:
    assert refusal(az, '--follow', f'{option}={text}') == f'The value of {option} is not a duration.'


@pytest.mark.parametrize('option', ['--study-instance-uid', '--series-instance-uid', '--sop-instance-uid'])
@pytest.mark.parametrize('text', UIDS, ids=range(len(UIDS)))
def test_text_that_is_no_uid_is_refused_and_not_repeated(option: str, text: str, az: Az) -> None:
    assert refusal(az, option, '1.2.3', text) == f'A value of {option} is not a UID.'


@pytest.mark.parametrize('text', NEXT_TOKENS, ids=range(len(NEXT_TOKENS)))
def test_next_token_that_was_never_printed_is_refused(text: str, az: Az) -> None:
    assert refusal(az, '--next-token', text) == 'The value of --next-token is not one that this command printed.'


@pytest.mark.parametrize('option', EMPTY)
def test_empty_value_does_not_pass_for_an_option_left_out(option: str, az: Az) -> None:
    assert refusal(az, '--follow', f'--{option}', '') == f'The value of --{option} is empty.'


@pytest.mark.parametrize('options', EMPTY_WINDOWS)
def test_window_that_is_empty_is_refused(options: str, az: Az) -> None:
    assert refusal(az, *options.split()) == 'The time window is empty: it ends before it starts.'


@pytest.mark.parametrize('options', TOGETHER)
def test_options_that_contradict_each_other_are_refused(options: str, az: Az) -> None:
    assert refusal(az, *options.split()).endswith(' do not go together.')


@pytest.mark.parametrize('options', ALONE)
def test_option_that_says_nothing_by_itself_is_refused(options: str, az: Az) -> None:
    assert ' requires --' in refusal(az, *options.split())


@pytest.mark.parametrize('options', ONE_FILE)
def test_one_file_for_two_things_is_refused(options: str, az: Az) -> None:
    assert refusal(az, *options.split()).endswith(' name one file.')


def test_lock_of_the_checkpoint_is_no_file_of_conditions(az: Az) -> None:
    said = refusal(az, '--stream', '--checkpoint', 'present', '--match-file', 'present.lock')
    assert said == "The value of --match-file is the name of the checkpoint's lock."


@pytest.mark.parametrize('options', NOT_FILES)
def test_path_that_can_be_no_file_is_refused(options: str, az: Az, folder: Path) -> None:
    assert refusal(az, *options.split()).endswith((' is a folder.', ' does not exist.'))
    assert sorted(path.name for path in folder.iterdir()) == ['conditions', 'link', 'present']


@pytest.mark.parametrize('ending', ['.csv', '.CSV', '.parquet', '.zst', '.bz2', '.xz', '.zip', '.jsonl.zst'])
def test_l23_name_that_promises_another_form_is_refused(ending: str, az: Az) -> None:
    assert refusal(az, '--output-file', f'feed{ending}').endswith(f'and no .{ending.lower().split(".")[-1]} files.')


@pytest.mark.parametrize('option', ['--checkpoint', '--summary-file'])
def test_l22_only_events_go_to_standard_output(option: str, az: Az) -> None:
    assert refusal(az, '--stream', option, '-') == f'{option} cannot be standard output.'


@pytest.mark.parametrize('path', ['-', '/dev/stdout', '/dev/fd/1', '/proc/self/fd/1'])
def test_l22_dash_is_standard_output(path: str) -> None:
    options = checked({'output_file': path}, Invocation(FakeCli()))
    assert (options.stream, options.output_file, options.writes_stdout) == (True, None, True)


@pytest.mark.parametrize(
    ('arguments', 'output', 'same'),
    [
        ((), 'json', True),
        (('-o', 'json'), 'json', True),
        ((), 'tsv', True),
        (('-o', 'tsv'), 'tsv', False),
        (('--query', 'sequence'), 'json', False),
    ],
    ids=['neither', 'typed json', 'configured', 'typed tsv', 'query'],
)
def test_form_of_line_is_what_was_typed(arguments: tuple[str, ...], output: str, same: bool) -> None:
    assert (checked({'stream': True}, Invocation(FakeCli(*arguments, output=output))).form == '') is same


@pytest.mark.parametrize(
    'words', ['--action Create --action delete', '--action Create delete', '--action=Create --action=delete']
)
def test_l30_repeated_option_adds_up(words: str) -> None:
    assert parsed(f'{words} --partition-name a --partition-name b') == {
        'action': ['Create', 'Delete'],
        'partition_name': ['a', 'b'],
    }


@pytest.mark.parametrize('name', LISTS)
def test_l30_every_option_that_takes_several_values_adds_up(name: str) -> None:
    first, second = {
        'action': ('create', 'Delete'),
        'state': ('CURRENT', 'Deleted'),
        'match': ('Modality=CT', 'modality=mr'),
        'include_field': ('Modality', 'patientid'),
    }.get(name, ('1.2', '1.3'))
    option = '--' + name.replace('_', '-')
    (values,) = parsed(f'{option} {first} {option} {second}').values()
    assert [value.lower() for value in values] == [first.lower(), second.lower()]


def parsed(words: str) -> dict[str, list[str]]:
    """The filters as az's parser reads them."""
    from azure.cli.core import get_default_cli
    from knack.events import EVENT_INVOKER_POST_PARSE_ARGS

    cli, found = get_default_cli(), {}

    def keep(_cli: Any, args: Any, **_: Any) -> None:
        found.update({name: values for name in LISTS if (values := getattr(args, name, None))})

    cli.register_event(EVENT_INVOKER_POST_PARSE_ARGS, keep)
    cli.invoke(['dicom', 'changefeed', *SERVICE, *words.split()])
    return found


@pytest.mark.parametrize('options', AZ_OUTPUT)
def test_output_of_az_that_would_be_ignored_is_refused(options: str, az: Az) -> None:
    assert refusal(az, *options.split())


@pytest.mark.parametrize('options', FITTING)
def test_options_that_fit_are_not_refused(options: str, az: Az) -> None:
    outcome = az('dicom', 'changefeed', *SERVICE, *options.split())
    assert (outcome.code, outcome.stderr) == (1, NOT_REFUSED)
