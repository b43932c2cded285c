"""Sample files that pydicom's package holds: images that no patient has.

pydicom's own way to find a file downloads those that its package lacks; this one does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pydicom
from pydicom.dataset import FileDataset

_FOLDER = Path(pydicom.__file__).parent / 'data' / 'test_files'


@dataclass(frozen=True)
class Sample:
    """One file; `ids` are its study, series and instance."""

    path: Path

    @property
    def content(self) -> bytes:
        return self.path.read_bytes()

    @property
    def dataset(self) -> FileDataset:
        return pydicom.dcmread(self.path)

    @property
    def ids(self) -> tuple[str, str, str]:
        dataset = pydicom.dcmread(self.path, stop_before_pixels=True)
        return str(dataset.StudyInstanceUID), str(dataset.SeriesInstanceUID), str(dataset.SOPInstanceUID)


CT = Sample(_FOLDER / 'CT_small.dcm')  # Explicit VR Little Endian
JPEG_2000 = Sample(_FOLDER / 'MR_small_jp2klossless.dcm')
RLE = Sample(_FOLDER / 'SC_rgb_rle_2frame.dcm')  # two frames
JPEG = Sample(_FOLDER / 'examples_ybr_color.dcm')  # thirty frames
DOSE = Sample(_FOLDER / 'rtdose.dcm')  # Implicit VR Little Endian
WAVEFORM = Sample(_FOLDER / 'waveform_ecg.dcm')  # bulk data that is no image
SAMPLES = {'ct': CT, 'jpeg-2000': JPEG_2000, 'rle': RLE, 'jpeg': JPEG, 'dose': DOSE, 'waveform': WAVEFORM}
