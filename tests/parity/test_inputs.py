"""Shipped inputs have the bytes they always had; the user's are read right or refused with a reason."""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

from parity.assets.inputs import PHOTOS, InputError, default_inputs, load_inputs, photo
from parity.assets.models import resolve
from parity.assets.preprocessing import PREPROCESSING, caffe, negative, pad_digits, signed
from parity.hashing import array_sha256
from tests.parity.test_pictures import photo_file

# Stored references are keyed by these: a change of Pillow, scikit-image or NumPy that moves a byte shows here.
PHOTO_HASHES = {
    "astronaut": "5c5e0f068da27a4e76f2d3e51786f6f058fcb1c47ec63f90fe9b59a9442432c6",
    "chelsea": "148c5c303040dbeec25a8c37063ede54365d001823b64e9c892f3db3ae717519",
    "coffee": "a3c6af02713ee6da4ff480dc76994cfa36cd01da5298f84aa6cd01d3d518e52c",
}
FIRST_HASHES = {
    "vgg_mnist": "7dc2aa0ab0b521c0ef43595333a9e90244c3ba3c552ea170272af4e2ab2ca477",
    "dense_mnist": "9453b20c4120e22089bb53c9298f33e3314d3704dd0203822088474e4626addc",
    "resnet_mnist": "7dc2aa0ab0b521c0ef43595333a9e90244c3ba3c552ea170272af4e2ab2ca477",
    "cnn_timeseries": "4d07855ef5fd78593ef8968cb2ecfff690ed8955cabd27e0b495062a19784de1",
}
RGB = (6, 4, 3)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def save(path: str, array: np.ndarray) -> str:
    np.save(path, array, allow_pickle=True)
    return path


def values(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


# --- preprocessing ---------------------------------------------------------------------------------------


def test_caffe_is_bgr_minus_means():
    pixel = np.array([[[10, 20, 30]]], dtype=np.uint8)
    np.testing.assert_allclose(caffe(pixel), [[[30 - 103.939, 20 - 116.779, 10 - 123.68]]], rtol=1e-6)


def test_caffe_needs_three_channels_last():
    with pytest.raises(ValueError, match="channels last"):
        caffe(np.zeros((3, 5, 5), dtype=np.uint8))


def test_scalings():
    pixels = np.array([0, 255], dtype=np.uint8)
    assert signed(pixels).tolist() == [-1.0, 1.0]
    assert negative(pixels).tolist() == [-1.0, 0.0]


@pytest.mark.parametrize("name", PREPROCESSING)
def test_preprocessing_gives_new_contiguous_float32(name):
    pixels = np.zeros((4, 4, 3), dtype=np.uint8)
    result = PREPROCESSING[name](pixels)
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    assert not np.shares_memory(result, pixels)


def test_digits_are_padded_with_black():
    padded = pad_digits(np.full((2, 28, 28), 7, dtype=np.uint8))
    assert padded.shape == (2, 32, 32, 1)
    assert padded[0, :2].max() == padded[0, -2:].max() == padded[0, :, :2].max() == padded[0, :, -2:].max() == 0
    assert padded[:, 2:30, 2:30].min() == 7


# --- shipped inputs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIRST_HASHES)
def test_shipped_inputs(name):
    samples = default_inputs(resolve(name))
    assert len(samples) >= 8
    assert samples[0].sha256 == FIRST_HASHES[name]
    assert len({sample.name for sample in samples}) == len({sample.sha256 for sample in samples}) == len(samples)
    for sample in samples:
        assert sample.array.dtype == np.float32
        assert sample.sha256 == array_sha256(sample.array)
        assert sample.label is not None


@pytest.mark.parametrize(
    ("name", "shape", "low", "high"),
    [
        ("vgg_mnist", (32, 32, 1), -1, 1),
        ("resnet_mnist", (32, 32, 1), -1, 1),
        ("dense_mnist", (28, 28, 1), -1, 0),
    ],
)
def test_digits(name, shape, low, high):
    samples = default_inputs(resolve(name))
    assert [sample.label for sample in samples] == list(range(10))
    for sample in samples:
        assert sample.array.shape == shape
        assert sample.array.min() == low
        assert high - 0.02 <= sample.array.max() <= high
        assert sample.display.shape == (*shape[:2], 3)
        assert sample.display.dtype == np.uint8


def test_series():
    samples = default_inputs(resolve("cnn_timeseries"))
    assert [sample.label for sample in samples] == [0, 1, 1, 0, 0, 1, 0, 1]  # the first held-out ones, in order
    for sample in samples:
        assert sample.array.shape == (150, 1)
        assert abs(sample.array.mean()) < 1e-3
        assert sample.array.std() == pytest.approx(1.0, abs=0.01)
        assert sample.display is None


@pytest.mark.parametrize("name", PHOTOS)
def test_photos(name):
    picture = photo(name)
    assert picture.shape == (224, 224, 3)
    assert picture.dtype == np.uint8
    assert array_sha256(caffe(picture)) == PHOTO_HASHES[name]


def test_model_of_the_user_has_no_default_inputs(folder):
    Path("mine.h5").write_bytes(b"")
    with pytest.raises(InputError, match=r"no shipped inputs go with mine.*--inputs"):
        default_inputs(resolve("mine.h5"))


# --- arrays of the user ----------------------------------------------------------------------------------


def test_one_array(folder):
    array = values(*RGB)
    (sample,) = load_inputs([save("x.npy", array)], RGB, "caffe")
    np.testing.assert_array_equal(sample.array, array)
    assert (sample.name, sample.label, sample.display) == ("x", None, None)
    assert sample.sha256 == array_sha256(array)


def test_batch(folder):
    array = values(3, *RGB)
    samples = load_inputs([save("x.npy", array)], RGB, "none")
    assert [sample.name for sample in samples] == ["x[0]", "x[1]", "x[2]"]
    np.testing.assert_array_equal(samples[2].array, array[2])


def test_npz(folder):
    np.savez("z.npz", a=values(*RGB), b=values(2, *RGB))
    samples = load_inputs([folder / "z.npz"], RGB, "none")
    assert [sample.name for sample in samples] == ["z.a", "z.b[0]", "z.b[1]"]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["a/x.npy", "b/x.npy"], ["a/x", "b/x"]),
        (["a/x.npy", "a/y.npy"], ["x", "y"]),
        (["x.npy", "a/x.npy", "a/y.npy"], [None, "a/x", "y"]),
        (["a/c/x.npy", "b/c/x.npy", "b/d/x.npy"], ["a/c/x", "b/c/x", "b/d/x"]),
        (["a/x.npy", "a/x.png"], ["x.npy", "x.png"]),
        (["a/x.npy", "a/x.npy", "a/../a/y.npy"], ["x", "y"]),
        (["a/x.npy", "x~2.npy", "b/x.npy"], ["a/x", "x~2", "b/x"]),
    ],
)
def test_files_of_one_name_are_told_apart_by_their_paths(files, names, folder):
    for place in files:
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        photo_file(place) if place.endswith("png") else save(place, values(*RGB))
    found = [sample.name for sample in load_inputs(files, RGB, "none")]
    assert found == [name or f"{Path.cwd().name}/x" for name in names]
    assert len(set(found)) == len(found)


def test_arrays_that_are_called_alike(folder):
    np.savez("z.npz", **{"a/b": values(*RGB), "a_b": values(*RGB)})
    save("z.a_b.npy", values(*RGB))
    names = [sample.name for sample in load_inputs(["z.npz", "z.a_b.npy"], RGB, "none")]
    assert names == ["z.a_b", "z.a_b~2", "z.a_b~3"]


@pytest.mark.parametrize("dtype", [">f4", "float16", "float64", "int8", "int64", "uint16"])
def test_numbers_of_other_types_become_float32(dtype, folder):
    array = np.arange(72).reshape(RGB).astype(dtype)
    (sample,) = load_inputs([save("x.npy", array)], RGB, "caffe")
    assert sample.array.dtype == np.dtype("float32")
    assert sample.array.dtype.isnative
    np.testing.assert_array_equal(sample.array, array)


def test_column_major_array(folder):
    array = np.asfortranarray(values(*RGB))
    (sample,) = load_inputs([save("x.npy", array)], RGB, "none")
    assert sample.array.flags.c_contiguous
    np.testing.assert_array_equal(sample.array, array)


def test_uint8_array_holds_pixels(folder):
    pixels = np.random.default_rng(0).integers(0, 256, (2, *RGB), dtype=np.uint8)
    samples = load_inputs([save("x.npy", pixels)], RGB, "caffe")
    np.testing.assert_array_equal(samples[1].array, caffe(pixels[1]))
    np.testing.assert_array_equal(samples[1].display, pixels[1])


def test_axis_of_any_length(folder):
    (sample,) = load_inputs([save("x.npy", values(17, 2))], (None, 2), "none")
    assert sample.array.shape == (17, 2)


BAD_ARRAYS = {
    "rank": (values(6, 4), RGB, r"x\.npy has 2 axes \(6, 4\); the model takes \(6, 4, 3\), or \(N, \.\.\.\)"),
    "rank_high": (values(1, 1, *RGB), RGB, "has 5 axes"),
    "scalar": (np.float32(1), RGB, "has 0 axes"),
    "channels_first": (values(3, 6, 4), RGB, r"channels come first; move them last \(np\.moveaxis\(x, -3, -1\)\)"),
    "channels_first_batch": (values(2, 3, 6, 4), RGB, "channels come first"),
    "channels_first_series": (values(2, 50), (50, 2), r"channels come first.*np\.moveaxis\(x, -2, -1\)"),
    "channel_count": (values(6, 4, 1), RGB, "1 channels instead of 3"),
    "size": (values(7, 4, 3), RGB, r"has shape \(7, 4, 3\), the model takes \(6, 4, 3\); arrays are not resized"),
    "features": (values(5), (4,), r"the model takes \(4,\)"),
    "empty_batch": (values(0, *RGB), RGB, r"empty batch \(0, 6, 4, 3\)"),
    "text": (np.full(RGB, "a"), RGB, "holds <U1 values; real numbers"),
    "complex": (values(*RGB).astype(complex), RGB, "complex128 values"),
    "bool": (values(*RGB) > 0, RGB, "bool values"),
    "dates": (np.zeros(RGB, "datetime64[s]"), RGB, "datetime64"),
    "fields": (np.zeros(RGB, [("a", "f4")]), RGB, "values; real numbers"),
    "objects": (values(*RGB).astype(object), RGB, "holds Python objects, which are never unpickled"),
    "too_large": (np.full(RGB, 1e300), RGB, "72 values that are not finite, the first infinite"),
}


@pytest.mark.parametrize("case", BAD_ARRAYS)
def test_bad_array(case, folder):
    array, shape, says = BAD_ARRAYS[case]
    save("x.npy", array)
    with pytest.raises(InputError, match=says) as caught:
        load_inputs(["x.npy"], shape, "none")
    assert "x.npy" in str(caught.value)


@pytest.mark.parametrize(("value", "says"), [(np.nan, "NaN"), (np.inf, "infinite"), (-np.inf, "infinite")])
def test_values_that_are_not_finite(value, says, folder):
    array = values(2, *RGB)
    array[1, 5, 0, 2] = value
    with pytest.raises(
        InputError, match=rf"x\.npy\[1\] has 1 values that are not finite, the first {says}.* \(5, 0, 2\)"
    ):
        load_inputs([save("x.npy", array)], RGB, "none")


def npy_bytes(array: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def huge_header() -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "<f4", "fortran_order": False, "shape": (1 << 20, 1 << 20, 3)}
    )
    return stream.getvalue()


def npz_bytes(**members: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    return stream.getvalue()


class Bomb:
    """Leaves a trace when unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("exploded"),)


GOOD = npy_bytes(values(*RGB))
BAD_FILES = {
    "empty": ("x.npy", b"", "not an .npy file"),
    "cut_in_data": ("x.npy", GOOD[:-10], "damaged or cut short"),
    "cut_in_header": ("x.npy", GOOD[:20], "damaged or cut short"),
    "promises_terabytes": ("x.npy", huge_header(), "damaged or cut short"),
    "random": ("x.npy", bytes(range(256)), "not an .npy file"),
    "header_rubbish": ("x.npy", GOOD[:10] + b"\xff" * 60 + GOOD[70:], "damaged or cut short"),
    "pickle": ("x.npy", pickle.dumps(Bomb()), "not an .npy file"),
    "npz_random": ("x.npz", bytes(range(256)), "not an .npz file"),
    "npz_cut": ("x.npz", npz_bytes(a=GOOD)[:-30], "damaged or cut short"),
    "npz_empty": ("x.npz", npz_bytes(), "holds no arrays"),
    "npz_inner_cut": ("x.npz", npz_bytes(a=GOOD[:-10]), "array 'a' is damaged or cut short"),
    "npz_inner_rubbish": ("x.npz", npz_bytes(a=b"rubbish"), "array 'a' is no array"),
    "npz_inner_pickle": ("x.npz", npz_bytes(a=pickle.dumps(Bomb())), "array 'a' is no array"),
    "npz_inner_terabytes": ("x.npz", npz_bytes(a=huge_header()), "array 'a' is damaged or cut short"),
    "text_as_image": ("x.png", b"hello", "neither an image"),
    "npy_as_image": ("x.jpg", GOOD, "neither an image"),
    "no_suffix": ("x", b"\x00" * 50, "neither an image"),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_bad_file(case, folder):
    name, content, says = BAD_FILES[case]
    Path(name).write_bytes(content)
    with pytest.raises(InputError, match=says) as caught:
        load_inputs([name], RGB, "none")
    assert str(caught.value).startswith(name)
    assert not Path("exploded").exists()


@pytest.mark.parametrize("suffix", ["npy", "npz"])
def test_flipped_bytes_end_in_an_input_or_an_input_error(suffix, folder):
    good = GOOD if suffix == "npy" else npz_bytes(a=GOOD)
    generator = np.random.default_rng(3)
    refused = 0
    for _ in range(300):
        damaged = bytearray(good)
        for place in generator.integers(0, min(len(good), 170), 2):
            damaged[place] = generator.integers(0, 256)
        Path(f"x.{suffix}").write_bytes(damaged)
        try:
            load_inputs([f"x.{suffix}"], RGB, "none")
        except InputError:
            refused += 1
    assert refused > 200


def test_objects_are_never_unpickled(folder):
    array = np.empty((1,), dtype=object)
    array[0] = Bomb()
    save("x.npy", array)
    np.savez("x.npz", a=array)
    for name in ("x.npy", "x.npz"):
        with pytest.raises(InputError, match="holds Python objects"):
            load_inputs([name], RGB, "none")
    assert not Path("exploded").exists()


def test_nothing_given():
    with pytest.raises(InputError, match="no inputs given"):
        load_inputs([], RGB, "none")


def test_missing_file_and_folder(folder):
    with pytest.raises(InputError, match=r"gone\.npy: there is no such file"):
        load_inputs(["gone.npy"], RGB, "none")
    with pytest.raises(InputError, match="is a folder"):
        load_inputs([folder], RGB, "none")


def test_an_archive_that_declares_gigabytes(folder):
    with (
        zipfile.ZipFile("large.npz", "w", zipfile.ZIP_DEFLATED) as file,
        file.open("a.npy", "w", force_zip64=True) as a,
    ):
        np.lib.format.write_array_header_1_0(a, {"descr": "<f4", "fortran_order": False, "shape": (100, 1000, 1000)})
        for _ in range(100):
            a.write(bytes(4_000_000))
    assert Path("large.npz").stat().st_size < 1e6
    with pytest.raises(InputError, match=r"large\.npz unpacks to 400 MB, more than the 2\d\d MB"):
        load_inputs(["large.npz"], RGB, "none")
    with zipfile.ZipFile("odd.npz", "w", zipfile.ZIP_LZMA) as file:
        file.writestr("a.npy", GOOD)
    with pytest.raises(InputError, match=r"odd\.npz packs 'a\.npy' by another method"):
        load_inputs(["odd.npz"], RGB, "none")
