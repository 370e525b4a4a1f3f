"""NIfTI volumes: which way is up, where a voxel lies, one stretch, and refusals."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import nibabel
import numpy as np
import pytest

from anogan.io import find_images, read_frames, read_scan, read_series
from anogan.io.places import orientation
from anogan.results.reading import series_id
from anogan.scan import Series

SHAPE = (4, 5, 6)
VALUES = np.arange(120, dtype=np.int16).reshape(SHAPE)


def save(
    path: Path, values: np.ndarray = VALUES, affine: np.ndarray | None = None, cls: type = nibabel.Nifti1Image
) -> Path:
    image = cls(values, np.diag([1.0, 1.1, 1.05, 1]) if affine is None else affine)
    image.header.set_xyzt_units("mm")
    path.write_bytes(gzip.compress(image.to_bytes()) if path.suffix == ".gz" else image.to_bytes())
    return path


def only(path: Path) -> Series:
    (series,), problems = read_series([path])
    assert problems == []
    return series


def affines() -> list[np.ndarray]:
    """Return all ways to lay the axes along the patient's, and one oblique way, with a step of 3 mm along some axis."""
    found = []
    for order, signs in itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)):
        affine = np.eye(4)
        affine[:3, :3] = np.zeros((3, 3))
        for axis in range(3):
            affine[order[axis], axis] = signs[axis] * (3 if axis == 1 else 1 + axis / 100)
        affine[:3, 3] = 10, 20, 30
        found.append(affine)
    c, s = np.cos(0.3), np.sin(0.3)
    turn = np.eye(4)
    turn[:3, :3] = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    return [*found, turn @ found[0]]


@pytest.mark.parametrize("affine", affines(), ids=range(49))
def test_every_pixel_lies_where_the_voxel_did(tmp_path: Path, affine: np.ndarray) -> None:
    series = only(save(tmp_path / "a.nii", affine=affine))
    assert len(series.scans) == 5  # along the axis with the largest spacing
    assert series.step == pytest.approx(3, abs=1e-5)
    assert series.notes == ()
    positions = [scan.position for scan in series.scans]
    assert positions == sorted(positions)
    seen = set()
    for scan in series.scans:
        geometry = scan.geometry
        assert geometry is not None
        assert scan.spacing is not None
        for row, column in np.ndindex(scan.pixels.shape):
            along = np.multiply(geometry.along_row, column * scan.spacing[1])
            down = np.multiply(geometry.along_column, row * scan.spacing[0])
            left, posterior, superior = np.add(geometry.origin, along + down)
            voxel = np.linalg.inv(affine) @ [-left, -posterior, superior, 1]  # NIfTI counts to the right and anterior
            place = tuple(int(k) for k in voxel[:3].round())
            np.testing.assert_allclose(voxel[:3], place, atol=1e-4)
            assert scan.pixels[row, column] == pytest.approx(VALUES[place] / 119, abs=1e-6)
            seen.add(place)
    assert len(seen) == 120


@pytest.mark.parametrize(
    ("spacing", "plane", "row", "column"),
    [
        ((3, 1, 1), "sagittal", (0, 1, 0), (0, 0, -1)),  # to posterior, and down
        ((1, 3, 1), "coronal", (1, 0, 0), (0, 0, -1)),  # to the left, and down
        ((1, 1, 3), "axial", (1, 0, 0), (0, 1, 0)),  # to the left, and to posterior
        ((1.05, 1, 1), "axial", (1, 0, 0), (0, 1, 0)),  # nearly cubes: the third axis of the file
    ],
)
def test_slices_are_turned_as_a_viewer_shows_them(
    tmp_path: Path, spacing: tuple[float, ...], plane: str, row: tuple[float, ...], column: tuple[float, ...]
) -> None:
    geometry = only(save(tmp_path / "a.nii.gz", affine=np.diag([*spacing, 1.0]))).scans[0].geometry
    assert geometry is not None
    assert orientation(geometry) == plane
    assert (geometry.along_row, geometry.along_column) == (row, column)


def test_the_third_axis_of_the_file_counts_after_turning_too(tmp_path: Path) -> None:
    affine = np.array([[0, 0, 1, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1.0]])  # the third axis runs to the right
    series = only(save(tmp_path / "a.nii", affine=affine))
    assert len(series.scans) == 6
    assert series.scans[0].geometry is not None
    assert orientation(series.scans[0].geometry) == "sagittal"


@pytest.mark.parametrize("cls", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_its_content_says_what_it_is(tmp_path: Path, cls: type) -> None:
    names = ("a.nii", "b.nii.gz", "c.bin", "d.gz")
    for name in names:
        save(tmp_path / name, cls=cls)
    (tmp_path / "e.gz").write_bytes(gzip.compress(b"a text" * 1000))
    assert [path.name for path in find_images([tmp_path])] == list(names)
    assert {len(read_frames(tmp_path / name)) for name in names} == {6}
    scan = read_frames(tmp_path / "b.nii.gz")[2]
    assert (scan.format, scan.frame, scan.frames, scan.modality, scan.subject) == ("NIfTI", 3, 6, "", "")
    assert scan.details["kind"] == ("NIfTI-1" if cls is nibabel.Nifti1Image else "NIfTI-2")
    with pytest.raises(ValueError, match="holds 6 frames; read it as a series"):
        read_scan(tmp_path / "b.nii.gz")


def test_scaled_values_and_a_window(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VALUES, np.eye(4))
    image.header.set_slope_inter(2, -100)
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    pixels = np.stack([scan.pixels for scan in read_frames(tmp_path / "a.nii", (0, 100))])
    values = 2.0 * VALUES[::-1, ::-1].T - 100  # the axes of the identity run to the right and to anterior
    np.testing.assert_allclose(pixels, (values / 100 + 0.5).clip(0, 1), atol=1e-6)
    clipped = [scan.clipped for scan in read_frames(tmp_path / "a.nii", (0, 100))]
    assert np.mean([share for share in clipped if share is not None]) == pytest.approx((abs(values) > 50).mean())
    with pytest.raises(ValueError, match="no window named 'brain'"):
        read_frames(tmp_path / "a.nii", "brain")


def test_several_volumes_are_several_series(tmp_path: Path) -> None:
    values = np.stack([VALUES, VALUES + 500], axis=-1).astype(np.int16)
    series, problems = read_series([save(tmp_path / "a.nii", values)])
    assert problems == []
    assert [len(one.scans) for one in series] == [6, 6]
    assert series[1].notes == ("its file holds 2 volumes; this is number 2",)
    assert len({series_id(one) for one in series}) == 2
    assert series[1].scans[0].frame == 7
    assert max(scan.pixels.max() for scan in series[0].scans) == pytest.approx(119 / 619)  # one stretch for the file


def test_colors(tmp_path: Path) -> None:
    values = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1")])
    values["G"][3, 4, 0] = 51
    pixels = only(save(tmp_path / "a.nii", values)).scans[0].pixels
    assert pixels.shape == (5, 4, 3)
    np.testing.assert_allclose(pixels[0, 0], [0, 0.2, 0], atol=1e-6)  # right and anterior is the upper left corner


def test_an_unknown_place_is_said(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(VALUES, None)
    image.header["pixdim"][1:4] = 1, 1, 2
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    series = only(tmp_path / "a.nii")
    assert series.scans[0].geometry is None
    assert series.step == 2
    assert series.notes == ("its header does not say how it lies in the patient",)


def test_axes_that_are_not_perpendicular_are_said(tmp_path: Path) -> None:
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    affine[0, 1] = 0.3
    path = tmp_path / "a.nii"
    image = nibabel.Nifti1Image(VALUES, affine)
    image.set_sform(affine, 1)
    image.to_filename(path)
    series = only(path)
    assert series.scans[0].geometry is None
    assert "the axes of its slices are not perpendicular, so their place in the patient is not known" in series.notes


def refused(path: Path) -> str:
    with pytest.raises(ValueError) as caught:
        read_frames(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value).removeprefix(f"{path}: ")


def header(path: Path, **values: object) -> Path:
    """Write a file with a header that is changed afterwards."""
    data = bytearray(save(path).read_bytes())
    raw = np.frombuffer(data, nibabel.nifti1.header_dtype, 1)
    for name, value in values.items():
        raw[name] = value
    path.write_bytes(data)
    return path


def test_what_cannot_be_read(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    huge = header(path, dim=[3, 30000, 30000, 3000, 1, 1, 1, 1])
    assert refused(huge).startswith("has 30000 x 30000 pixels, more than the 64 million")
    assert "has 27000 frames of 500 x 300" in refused(header(path, dim=[4, 300, 500, 27, 1000, 1, 1, 1]))
    assert "begin at an unlikely place" in refused(header(path, vox_offset=1e12))
    assert "is no volume of gray values" in refused(header(path, dim=[5, 4, 5, 1, 1, 6, 1, 1]))
    assert "is no volume of gray values" in refused(save(path, VALUES.astype(np.complex64)))
    assert "not finite" in refused(save(path, np.full(SHAPE, np.nan, np.float32)))
    assert "damaged or cut off" in refused(header(path, dim=[3, 4, 5, 60, 1, 1, 1, 1]))
    path.write_bytes(save(tmp_path / "b.nii.gz").read_bytes()[:-30])
    assert "damaged or cut off" in refused(path)


def test_no_damage_gets_further_than_one_sentence(tmp_path: Path) -> None:
    whole = save(tmp_path / "a.nii").read_bytes()
    path, rng, unread = tmp_path / "b.nii", np.random.default_rng(0), 0
    for _ in range(200):
        data = bytearray(whole)
        for place in rng.integers(0, 344, 4):
            data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            read_frames(path)
        except ValueError as error:
            unread += 1
            assert str(error).startswith(f"{path}: ")
    assert unread > 20


def shown(path: Path) -> np.ndarray:
    """Return the pixels of the slices of VALUES' shape, turned back to the file's axes."""
    return np.stack([scan.pixels for scan in read_frames(path)]).T[::-1, ::-1]


@pytest.mark.parametrize(
    ("slope", "intercept", "turned"),
    [
        (np.nan, np.nan, False),  # as nibabel writes "not scaled"
        (0, 5, False),  # nifti1.h: not scaled
        (1e-45, 0, False),  # the least that float32 holds
        (1e38, 0, False),  # beyond float32
        (1, 3e7, False),  # beyond the integers that float32 tells apart
        (-1, 0, True),
    ],
)
def test_any_scale_of_the_header_is_the_same_picture(
    tmp_path: Path, slope: float, intercept: float, turned: bool
) -> None:
    path = header(tmp_path / "a.nii", scl_slope=slope, scl_inter=intercept)
    picture = VALUES / 119
    np.testing.assert_allclose(shown(path), 1 - picture if turned else picture, atol=1e-6)


@pytest.mark.parametrize(("slope", "intercept"), [(np.inf, 0), (-np.inf, 0), (2, np.nan), (2, np.inf)])
def test_a_scale_that_is_no_number_is_refused(tmp_path: Path, slope: float, intercept: float) -> None:
    reason = refused(header(tmp_path / "a.nii", scl_slope=slope, scl_inter=intercept))
    assert reason == f"its header scales its values by {slope:g} and {intercept:g}; export it again"


@pytest.mark.parametrize("kind", ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "f4", "f8"])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("cls", [nibabel.Nifti1Image, nibabel.Nifti2Image])
def test_every_type_in_both_byte_orders(tmp_path: Path, kind: str, order: str, cls: type) -> None:
    values = VALUES.astype(kind)
    image = cls(values, np.eye(4), cls(values, np.eye(4), dtype=values.dtype).header.as_byteswapped(order))
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    np.testing.assert_array_equal(nibabel.load(tmp_path / "a.nii").get_fdata(), VALUES)  # type: ignore[attr-defined]
    np.testing.assert_allclose(shown(tmp_path / "a.nii"), VALUES / 119, atol=1e-6)
    assert read_frames(tmp_path / "a.nii")[0].details["bits"] == np.dtype(kind).name


@pytest.mark.parametrize(
    ("kind", "offset"), [("i4", 2**30), ("u4", 2**31), ("i8", -(2**50)), ("u8", 2**51), ("f8", 1e9)]
)
def test_neighboring_values_stay_two(tmp_path: Path, kind: str, offset: float) -> None:
    values = (VALUES.astype(np.int64) + int(offset)).astype(kind)
    image = nibabel.Nifti1Image(values, np.eye(4), dtype=values.dtype)
    (tmp_path / "a.nii").write_bytes(image.to_bytes())
    np.testing.assert_allclose(shown(tmp_path / "a.nii"), VALUES / 119, atol=1e-6)


def test_integers_that_float64_mixes_up_are_refused(tmp_path: Path) -> None:
    values = VALUES.astype(np.int64) + 2**60
    (tmp_path / "a.nii").write_bytes(nibabel.Nifti1Image(values, np.eye(4), dtype=np.int64).to_bytes())
    assert refused(tmp_path / "a.nii").endswith("too large to tell neighbors apart; subtract what they share")
    path = header(tmp_path / "b.nii", scl_slope=1, scl_inter=1e20)
    assert refused(path).startswith("its integers reach 119 and are scaled by 1 and 1e+20, too large")


def test_header_and_data_that_disagree(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    assert refused(header(path, dim=[3, 4, 5, 3, 1, 1, 1, 1])).startswith("holds more bytes behind the 120 of pixels")
    assert "announces 280 bytes of pixels and 240 are there" in refused(header(path, dim=[3, 4, 5, 7, 1, 1, 1, 1]))
    for offset in (0, 351, np.nan):
        assert "begin at an unlikely place" in refused(header(path, vox_offset=offset))
    for length in (0, 8):
        assert "no length at all" in refused(header(path, dim=[length, 4, 5, 6, 1, 1, 1, 1]))
    assert "a type of values that there is not (9999)" in refused(header(path, datatype=9999))
    assert "a unit that there is not (4)" in refused(header(path, xyzt_units=4))
    assert refused(header(path, magic=b"ni1")) == (
        "is the header of a pair of files (.hdr and .img); save the pair as one .nii file"
    )
    save(path)
    path.write_bytes(path.read_bytes() + bytes(16))  # fills a block
    np.testing.assert_allclose(shown(path), VALUES / 119, atol=1e-6)
    header(path, dim=[5, 4, 5, 6, 1, 1, 1, 1])
    np.testing.assert_allclose(shown(path), VALUES / 119, atol=1e-6)


def test_gzip_says_what_has_changed(tmp_path: Path) -> None:
    path = save(tmp_path / "a.nii.gz")
    whole = path.read_bytes()
    for damaged in (whole[:-6] + bytes([whole[-6] ^ 1]) + whole[-5:], whole[:-4], whole + b"more"):
        path.write_bytes(damaged)
        assert refused(path) == "is a damaged or cut off NIfTI file; copy or export it again"


def test_distances_that_are_none(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def series(q: int, s: int, *lengths: float, **values: object) -> Series:
        pixdim = [1, *lengths, 1, 1, 1, 1]
        return only(header(tmp_path / "a.nii", qform_code=q, sform_code=s, pixdim=pixdim, **values))

    assert series(0, 1, 0, -1, np.nan).scans[0].spacing == pytest.approx((1.1, 1))  # sform alone decides
    for codes in ((1, 0), (0, 0)):
        mirrored = series(*codes, -1, 1, 3)
        assert mirrored.scans[0].spacing == (1, 1)
        assert "its header gives a negative distance of its voxels, which is taken as positive" in mirrored.notes
        for lengths in ((1, 1, 0), (1, 1, np.nan), (1, 1, np.inf)):
            path = header(
                tmp_path / "a.nii", qform_code=codes[0], sform_code=codes[1], pixdim=[1, *lengths, 1, 1, 1, 1]
            )
            assert refused(path) == "its header says no distance of its voxels; export it again"
    assert len(series(0, 0, 1, 1, 0, dim=[3, 4, 30, 1, 1, 1, 1, 1]).scans) == 1  # one slice has no distance to another
    assert capfd.readouterr() == ("", "")


def test_two_places_of_one_volume(tmp_path: Path) -> None:
    path = tmp_path / "a.nii"
    same = {"qform_code": 1, "sform_code": 1}
    said = "its header places it in two ways, by qform and by sform; sform is taken"
    assert only(header(path, **same)).notes == ()
    assert only(header(path, **same, srow_x=[-1, 0, 0, 0])).notes == (said,)
    assert only(header(path, qform_code=1, sform_code=4, srow_x=[-1, 0, 0, 0])).notes == ()  # of two spaces
    assert "places its voxels in no volume" in refused(header(path, srow_x=[1, 1, 0, 0], srow_y=[1, 1, 0, 0]))
    assert "impossible qform" in refused(header(path, qform_code=1, sform_code=0, quatern_b=2))


@pytest.mark.parametrize(("alpha", "right"), [(0, 1), (255, 1), (51, 0.2)])
def test_what_is_transparent_lies_on_black(tmp_path: Path, alpha: int, right: float) -> None:
    values = np.zeros(SHAPE, [("R", "u1"), ("G", "u1"), ("B", "u1"), ("A", "u1")])
    values["R"], values["A"] = 255, alpha
    assert only(save(tmp_path / "a.nii", values)).scans[0].pixels[0, 0] == pytest.approx([right, 0, 0])


@pytest.mark.realdata
def test_the_template_brain() -> None:
    datasets = pytest.importorskip("nilearn.datasets")
    path = Path(datasets.__file__).parent / "data" / "mni_icbm152_t1_tal_nlin_sym_09a_converted.nii.gz"
    series = only(path)
    assert len(series.scans) == 189
    assert series.step == pytest.approx(1)
    assert series.scans[0].geometry is not None
    assert orientation(series.scans[0].geometry) == "axial"
    assert series.scans[0].position == pytest.approx(-72)
