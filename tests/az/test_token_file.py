"""A token is found in every form and encoding that `token issue` and a shell write."""

from __future__ import annotations

import codecs
import io
import json
from pathlib import Path

import pytest
from azure.cli.core.azclierror import FileOperationError

from azext_dicomtoken._formats import FORMATS
from azext_dicomtoken._token_file import read_token
from tests.az.conftest import Az
from tests.az.identity_endpoint import IdentityEndpoint
from tests.az.test_claims import a_token

TOKEN = a_token({'oid': 'object', 'tid': 'tenant'})
SHOW = ('dicom', 'token', 'show-claims', '--query', 'objectId', '-o', 'tsv', '--token-file')
ENCODINGS = {
    'UTF-8': ('utf-8', b''),
    'UTF-8 with BOM': ('utf-8', codecs.BOM_UTF8),
    'UTF-16 LE with BOM, as of > in PowerShell 5': ('utf-16-le', codecs.BOM_UTF16_LE),
    'UTF-16 BE with BOM': ('utf-16-be', codecs.BOM_UTF16_BE),
    'UTF-16 LE': ('utf-16-le', b''),
    'UTF-16 BE': ('utf-16-be', b''),
}
TEXTS = {
    'bare': TOKEN,
    'with blanks': f'\r\n {TOKEN}\r\n',
    'value of a header': f'Bearer {TOKEN}',
    'quoted': json.dumps(TOKEN),
    'object on one line': json.dumps({'resource': 'https://example.com/e.x.y', 'accessToken': TOKEN}),
    'YAML': f'accessToken: {TOKEN}\nexpiresOn: 2026-01-01\n',
}


@pytest.mark.parametrize('token_format', FORMATS)
def test_n16_every_format_of_issue_is_read(
    token_format: str, az: Az, identity: IdentityEndpoint, tmp_path: Path
) -> None:
    identity.token = TOKEN
    path = str(tmp_path / 'token')
    assert az('dicom', 'token', 'issue', '--format', token_format, '--output-file', path).code == 0
    assert az(*SHOW, path).stdout == 'object\n'


@pytest.mark.parametrize('output', ['json', 'jsonc', 'yaml', 'tsv', 'table'])
def test_n16_every_output_of_az_is_read(output: str, az: Az, identity: IdentityEndpoint, tmp_path: Path) -> None:
    identity.token = TOKEN
    (tmp_path / 'token').write_text(az('dicom', 'token', 'issue', '-o', output).stdout)
    assert az(*SHOW, str(tmp_path / 'token')).stdout == 'object\n'


@pytest.mark.parametrize('encoding', ENCODINGS)
@pytest.mark.parametrize('text', TEXTS)
def test_n16_token_is_found_in_a_text(text: str, encoding: str, tmp_path: Path) -> None:
    name, mark = ENCODINGS[encoding]
    (tmp_path / 'token').write_bytes(mark + TEXTS[text].encode(name))
    assert read_token(str(tmp_path / 'token')) == TOKEN


@pytest.mark.parametrize('encoding', ENCODINGS)
def test_n16_standard_input_is_read_as_bytes(encoding: str) -> None:
    name, mark = ENCODINGS[encoding]
    stdin = io.TextIOWrapper(io.BytesIO(mark + f'Bearer {TOKEN}\r\n'.encode(name)), encoding='ascii')
    assert read_token('-', stdin=stdin) == TOKEN


def test_standard_input_of_another_program_is_text() -> None:
    assert read_token('-', stdin=io.StringIO(f'Bearer {TOKEN}')) == TOKEN


@pytest.mark.parametrize('text', ['', 'opaque', 'a.b.c', f'{TOKEN}.more.parts', 'https://e3.example.com'])
def test_text_without_a_token_stays_whole(text: str, tmp_path: Path) -> None:
    (tmp_path / 'token').write_text(text + '\n')
    assert read_token(str(tmp_path / 'token')) == text


@pytest.mark.parametrize('data', [b'\xff', b'\x80abc', codecs.BOM_UTF16_LE + b'x'])
def test_what_is_no_text_is_refused(data: bytes, tmp_path: Path) -> None:
    (tmp_path / 'token').write_bytes(data)
    with pytest.raises(FileOperationError, match='it is not text'):
        read_token(str(tmp_path / 'token'))


@pytest.mark.parametrize('name', ['missing', '.'])
def test_file_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(FileOperationError, match='could not be read'):
        read_token(str(tmp_path / name))


def test_standard_input_that_is_closed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('sys.stdin', None)
    with pytest.raises(FileOperationError, match='Standard input is closed'):
        read_token('-')
