"""Names in free text that the basic profile leaves: none of them is in what is shared."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom import dcmread

from anogan.privacy.deidentify import deidentify


@pytest.mark.parametrize(
    ("name", "words"), [("latin.dcm", ("zztopsecret", "persona", "id778899x")), ("short-name.dcm", ("王", "小东"))]
)
def test_no_text_repeats_what_was_removed(faults_root: Path, tmp_path: Path, name: str, words: tuple[str, ...]) -> None:
    path = faults_root / "dicom" / "deidentify-keeps-names-in-group-0028" / name
    report, problems = deidentify([path], tmp_path)
    assert (report["files"], problems) == (1, [])
    (file,) = tmp_path.rglob("*.dcm")
    whole = str(dcmread(file)).casefold() + str(file).casefold()
    for word in words:
        assert word not in whole
        for encoding in ("utf-8", "utf-16-le", "gb18030", "shift_jis", "latin-1"):
            try:
                data = word.encode(encoding)
            except UnicodeEncodeError:
                continue
            for shared in (file, tmp_path / "deidentification.json"):
                assert data not in shared.read_bytes().lower() or len(data) < 3
    assert (dcmread(file).pixel_array == dcmread(path).pixel_array).all()
