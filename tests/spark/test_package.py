"""The source in an environment that has no az, and what of it is sent from process to process."""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from dicomfeed.spark import DicomChangeFeed
from dicomfeed.spark.options import parse_options
from scripts.build_wheel import build

OPTIONS = {'serviceUrl': 'https://contoso-imaging.dicom.azurehealthcareapis.com'}


def test_there_is_no_az_here() -> None:
    assert find_spec('azure') is None or find_spec('azure.cli') is None
    assert find_spec('knack') is None


def test_wheel_is_all_that_a_node_needs(tmp_path: Path) -> None:
    """As `pip install` lays it out: the wheel declares nothing that would have to come with it."""
    wheel = build(tmp_path)
    pip = [sys.executable, '-m', 'pip', 'install', '--quiet', '--no-deps', '--no-index']
    subprocess.run([*pip, '--target', tmp_path / 'node', wheel], check=True, timeout=120)
    script = 'import dicomfeed.spark as spark; print(spark.__file__, spark.DicomChangeFeed.name())'
    done = subprocess.run(
        [sys.executable, '-c', script],
        cwd=tmp_path,
        env={'PYTHONPATH': str(tmp_path / 'node')},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stdout.split() == [str(tmp_path / 'node' / 'dicomfeed' / 'spark' / '__init__.py'), 'dicomchangefeed']


def test_source_is_pickled_by_name_and_has_no_more_than_options() -> None:
    source = pickle.loads(pickle.dumps(DicomChangeFeed(OPTIONS)))
    assert vars(source) == {'_options': parse_options(OPTIONS)}
