"""Image files of the user: read upright and whole, or refused with a reason; nothing in them starts a program."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from parity.assets.inputs import InputError, load_inputs
from parity.assets.preprocessing import caffe

RGB = (32, 30, 3)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def photo_file(path: str, mode: str = "RGB", size: tuple[int, int] = (40, 60)) -> str:
    pixels = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)
    return path


@pytest.mark.parametrize("suffix", ["png", "jpg", "bmp", "webp", "gif"])
def test_image(suffix, folder):
    (sample,) = load_inputs([photo_file(f"cat.{suffix}")], (24, 20, 3), "caffe")
    assert sample.name == "cat"
    assert sample.array.shape == (24, 20, 3)
    np.testing.assert_array_equal(sample.array, caffe(sample.display))


def test_image_of_the_right_size_keeps_its_pixels(folder):
    pixels = np.random.default_rng(2).integers(0, 256, RGB, dtype=np.uint8)
    Image.fromarray(pixels).save("cat.png")
    (sample,) = load_inputs(["cat.png"], RGB, "none")
    np.testing.assert_array_equal(sample.array, pixels)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK"])
def test_image_modes_become_rgb(mode, folder):
    photo_file("cat.tiff" if mode == "CMYK" else "cat.png", mode)
    (sample,) = load_inputs([next(folder.glob("cat.*"))], RGB, "none")
    assert sample.array.shape == RGB


def test_image_for_a_gray_model(folder):
    (sample,) = load_inputs([photo_file("cat.png")], (32, 30, 1), "signed")
    assert sample.array.shape == (32, 30, 1)
    assert sample.array.min() >= -1
    assert sample.display.shape == (32, 30, 3)


def test_opaque_alpha_is_dropped_and_real_alpha_refused(folder):
    (sample,) = load_inputs([photo_file("opaque.png", "RGBA")], RGB, "none")
    assert sample.array.shape == RGB
    Image.new("RGBA", (9, 9), (1, 2, 3, 128)).save("glass.png")
    with pytest.raises(InputError, match=r"glass\.png has transparent pixels"):
        load_inputs(["glass.png"], RGB, "none")


def test_sixteen_bit_image(folder):
    Image.fromarray(np.arange(64, dtype=np.uint16).reshape(8, 8)).save("deep.png")
    with pytest.raises(InputError, match=r"deep\.png has I;16 pixels, not 8 bits"):
        load_inputs(["deep.png"], RGB, "none")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_truncated_image(suffix, folder):
    path = Path(photo_file(f"cat.{suffix}", size=(200, 200)))
    path.write_bytes(path.read_bytes()[:-2000])
    with pytest.raises(InputError, match=rf"cat\.{suffix} is a damaged image"):
        load_inputs([path], RGB, "none")


@pytest.mark.parametrize("side", [8_000, 20_000])
def test_decompression_bomb(side, folder):
    Image.new("1", (side, side)).save("big.png")
    assert Path("big.png").stat().st_size < 100_000
    with pytest.raises(InputError, match=r"big\.png .*(more than 50 million|decompression bomb)"):
        load_inputs(["big.png"], RGB, "none")


def deep_png(name, kind, channels):
    """Write a PNG of 16 bits per channel, which Pillow reads but does not write."""

    def chunk(tag, data):
        return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))

    rows = b"".join(b"\0" + bytes(range(2 * 8 * channels)) for _ in range(8))
    header = struct.pack(">IIBBBBB", 8, 8, 16, kind, 0, 0, 0)
    data = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    Path(name).write_bytes(b"\x89PNG\r\n\x1a\n" + data)
    return name


def deep_tiff(name):
    """Write a TIFF of 16 bits per channel."""
    tags = [(256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 3, 8), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 1, 14),
            (277, 3, 1, 3), (278, 3, 1, 8), (279, 4, 1, 384)]  # fmt: skip
    entries = b"".join(struct.pack("<HHI", *tag[:3]) + struct.pack("<I", tag[3]) for tag in tags)
    head = b"II*\0" + struct.pack("<I", 14 + 384) + struct.pack("<HHH", 16, 16, 16)
    Path(name).write_bytes(head + bytes(range(192)) * 2 + struct.pack("<H", len(tags)) + entries + bytes(4))
    return name


@pytest.mark.parametrize(
    "write",
    [
        lambda: deep_png("deep.png", 2, 3),
        lambda: deep_png("deep.png", 4, 2),
        lambda: deep_png("deep.png", 6, 4),
        lambda: deep_tiff("deep.tiff"),
    ],
    ids=["RGB", "LA", "RGBA", "TIFF"],
)
def test_sixteen_bits_of_colour_are_not_cut_in_silence(write, folder):
    with pytest.raises(InputError, match=r"deep\.\w+ has 16 bits per channel, not 8; convert it, or give an array"):
        load_inputs([write()], RGB, "none")


@pytest.mark.parametrize("suffix", ["gif", "tiff", "png", "webp"])
def test_many_frames(suffix, folder):
    frames = [Image.new("RGB", (32, 30), (shade, 0, 0)) for shade in (0, 90, 200)]
    frames[0].save(f"film.{suffix}", save_all=True, append_images=frames[1:])
    with pytest.raises(InputError, match=rf"film\.{suffix} has more than one frame or page"):
        load_inputs([f"film.{suffix}"], RGB, "none")


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tiff"])
@pytest.mark.parametrize(("orientation", "corner"), [(1, (0, 0)), (3, (-1, -1)), (6, (0, -1)), (8, (-1, 0))])
def test_a_picture_is_upright_as_its_exif_data_says(suffix, orientation, corner, folder):
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[:8, :8] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(f"cat.{suffix}", exif=exif, quality=95)
    (sample,) = load_inputs([f"cat.{suffix}"], (32, 32, 3), "none")
    bright = {place: sample.array[place].min() > 200 for place in [(0, 0), (0, -1), (-1, 0), (-1, -1)]}
    assert [place for place, is_bright in bright.items() if is_bright] == [corner]
    assert sample.display[corner].min() > 200


@pytest.mark.parametrize("name", ["photo.jpg", "photo.png", "photo.eps", "photo"])
def test_postscript_starts_no_program(name, folder, monkeypatch):
    """Whatever it is called; a program of Ghostscript's name would leave a file."""
    Path("gs").write_text("#!/bin/sh\ntouch ran\n")
    Path("gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    Path(name).write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n%%EOF\n")
    with pytest.raises(InputError, match="neither an image that is read here"):
        load_inputs([name], RGB, "none")
    assert not Path("ran").exists()


@pytest.mark.parametrize("shape", [(150, 1), (10,), (32, 32, 4)])
def test_image_for_a_model_that_takes_none(shape, folder):
    with pytest.raises(InputError, match="which no image has"):
        load_inputs([photo_file("cat.png")], shape, "none")


def test_image_for_a_model_of_any_size(folder):
    with pytest.raises(InputError, match=r"takes any size \(any, any, 3\)"):
        load_inputs([photo_file("cat.png")], (None, None, 3), "none")
