"""The package as a whole: what it exports, its three layers, what one of its files loads, and where each is tested."""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

import dicomfeed
from dicomfeed import errors

FOLDER = Path(dicomfeed.__file__).parent
MODULES = sorted(path.stem for path in FOLDER.glob('*.py') if path.stem != '__init__')
ALONE = ('errors', 'files', 'times', 'trust')
"""Files that the command line loads where it must load nothing else of the reader."""


def drawn_layers() -> list[list[str]]:
    drawn = r'^    (?:protocol|reading|delivery) +(.+(?:\n {8,}.+)*)$'  # a long one goes on in the next line
    found = re.findall(drawn, dicomfeed.__doc__ or '', re.MULTILINE)
    return [layer.split() for layer in found]


def imported_by(module: str) -> set[str]:
    """Files of the reader that a file imports, anywhere in it, for its types alone included."""
    nodes = list(ast.walk(ast.parse((FOLDER / f'{module}.py').read_text('utf-8'))))
    named = [node for node in nodes if isinstance(node, ast.ImportFrom)]
    names = {f'{node.module}.{name.name}' for node in named for name in node.names}
    names |= {name.name for node in nodes if isinstance(node, ast.Import) for name in node.names}
    return {name.split('.')[1] for name in names if name.startswith('dicomfeed.')}


def loaded_by(statement: str) -> set[str]:
    script = f'import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))'
    done = subprocess.run(
        [sys.executable, '-c', script], cwd=FOLDER.parent, capture_output=True, text=True, check=True, timeout=60
    )
    return set(json.loads(done.stdout))


def test_every_exported_name_is_there() -> None:
    assert dicomfeed.__all__ == sorted(dicomfeed._HOMES)
    assert all(getattr(dicomfeed, name) is not None for name in dicomfeed.__all__)
    assert set(dicomfeed.__all__) <= set(dir(dicomfeed))


def test_type_checkers_see_what_is_exported() -> None:
    tree = ast.parse((FOLDER / '__init__.py').read_text('utf-8'))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    seen = {(node.module, name.name) for node in block.body if isinstance(node, ast.ImportFrom) for name in node.names}
    assert seen == {(f'dicomfeed.{module}', name) for name, module in dicomfeed._HOMES.items()}


@pytest.mark.parametrize('kind', [kind for kind in vars(errors).values() if isinstance(kind, type)], ids=str)
def test_every_error_is_exported(kind: type) -> None:
    assert getattr(dicomfeed, kind.__name__) is kind


@pytest.mark.parametrize(
    'names',
    [
        ('FeedClient', 'HttpTransport', 'TokenSource', 'Feed', 'ThreadPool', 'Filters', 'Event'),
        ('load_checkpoint', 'lock_checkpoint', 'save_checkpoint', 'CheckpointWriter', 'Checkpoint', 'Question'),
        ('open_output', 'FileSink', 'StreamSink', 'Delivery', 'Summary'),
        ('parse_time', 'parse_duration', 'Clock', 'SETTLE_SECONDS'),
        ('SequenceRange', 'TimeSlice', 'Counts'),
    ],
    ids=['read', 'checkpoint', 'write', 'time', 'query and count'],
)
def test_exported_names_are_enough(names: tuple[str, ...]) -> None:
    assert set(names) <= set(dicomfeed.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match='no attribute'):
        dicomfeed.missing  # noqa: B018
    assert not hasattr(dicomfeed, '__wrapped__')


def test_layers_name_every_file_once() -> None:
    layers = drawn_layers()
    assert len(layers) == 3
    assert sorted(name for layer in layers for name in layer) == MODULES


@pytest.mark.parametrize('module', MODULES)
def test_imports_point_to_the_same_layer_or_the_one_before(module: str) -> None:
    layers = drawn_layers()
    own = next(number for number, layer in enumerate(layers) if module in layer)
    assert imported_by(module) <= {name for layer in layers[: own + 1] for name in layer}


def test_no_two_files_import_each_other() -> None:
    imports = {module: imported_by(module) for module in MODULES}

    def reached(module: str, seen: frozenset[str]) -> set[str]:
        return {other for name in imports[module] - seen for other in {name} | reached(name, seen | {name})}

    assert [module for module in MODULES if module in reached(module, frozenset())] == []


@pytest.mark.parametrize('module', ALONE)
def test_light_file_loads_no_other(module: str) -> None:
    loaded = loaded_by(f'import dicomfeed.{module}')
    assert {name for name in loaded if name.startswith('dicomfeed.')} == {f'dicomfeed.{module}'}
    assert not loaded & {'requests', 'urllib3', 'hashlib', 'sqlite3', 'tempfile', 'email.utils'}


def test_package_loads_nothing_of_itself() -> None:
    assert not [name for name in loaded_by('import dicomfeed') if name.startswith('dicomfeed.')]


@pytest.mark.parametrize('module', MODULES)
def test_file_has_its_test(module: str) -> None:
    assert (Path(__file__).parent / f'test_{module}.py').exists()
    assert importlib.import_module(f'dicomfeed.{module}').__doc__
