"""Right maps, spoilt afterwards: scale, sign, place, noise, shape, and what is no number."""

from __future__ import annotations

from typing import Any

import numpy as np

from parity.run.mutants.mutant import Map, Mutant, SubjectFunction, map_changed, map_changed_by_input

VGG, DENSE, RESNET, SERIES = "vgg_mnist", "dense_mnist", "resnet_mnist", "cnn_timeseries"
MORE_THAN_THE_LARGEST_ERROR = 1.5e-9
"""Of the largest value: over the float64 limit for a single error, and under that for all of them where a map is
spread over many values."""


def scaled(factor: float) -> SubjectFunction:
    """Return a port whose maps are too large by a factor."""
    return map_changed(lambda values: values * values.dtype.type(factor))


def noisy(share: float) -> SubjectFunction:
    """Return a port with noise of a share of the map's norm."""

    def change(values: Map) -> Map:
        noise = np.random.default_rng(0).normal(size=values.shape)
        out: Map = (values + share * noise * np.linalg.norm(values) / np.linalg.norm(noise)).astype(values.dtype)
        return out

    return map_changed(change)


def one_value(change: Any) -> SubjectFunction:
    """Return a port that is wrong in one place, a third of the way through each map."""

    def spoil(values: Map) -> Map:
        out = values.copy()
        for sample in out:
            place = sample.size // 3
            sample.flat[place] = change(sample.flat[place], np.abs(sample).max())
        return out

    return map_changed(spoil)


def largest_value(change: Any) -> SubjectFunction:
    """Return a port that is wrong where each map is largest."""

    def spoil(values: Map) -> Map:
        out = values.copy()
        for sample in out:
            place = int(np.abs(sample).argmax())
            sample.flat[place] = change(sample.flat[place])
        return out

    return map_changed(spoil)


def _border(values: Map, inside: bool, factor: float) -> Map:
    """Multiply the outermost ring (or all within it) by a factor."""
    ring = np.ones(values.shape, bool)
    ring[(slice(None), slice(None), *[slice(1, -1)] * (values.ndim - 2))] = False
    return np.where(ring ^ inside, values * values.dtype.type(factor), values)


def _tilted(values: Map) -> Map:
    """Stretch a map around its mean by less than its norm shows."""
    mean = values.mean()
    out: Map = values + 2e-10 * (values - mean)
    return out


def _signed_root(values: Map) -> Map:
    return np.sign(values) * np.sqrt(np.abs(values))


def _smooth(values: Map) -> Map:
    out = np.zeros_like(values)
    axes = tuple(range(2, values.ndim))
    shifts = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)] if len(axes) > 1 else [(a,) for a in (-1, 0, 1)]
    for shift in shifts:
        out += np.roll(values, shift, axes)
    return out / len(shifts)


def _coarse(values: Map) -> Map:
    """Keep every second value along each axis and repeat it."""
    for axis in range(2, values.ndim):
        size = values.shape[axis]
        kept = values.take(np.arange(0, size, 2), axis)
        values = np.repeat(kept, 2, axis).take(np.arange(size), axis)
    return values


def _eight_bits(values: Map) -> Map:
    top = np.abs(values).max()
    out: Map = (np.round(values / top * 127) / 127 * top).astype(values.dtype)
    return out


def _clipped(values: Map) -> Map:
    most = np.quantile(np.abs(values), 0.99)
    return np.clip(values, -most, most)


def _without_small(values: Map) -> Map:
    return np.where(np.abs(values) < 1e-3 * np.abs(values).max(), 0, values).astype(values.dtype)


def _zeros_filled(values: Map) -> Map:
    return np.where(values == 0, 1e-4 * np.abs(values).max(), values).astype(values.dtype)


def _random(values: Map) -> Map:
    return np.random.default_rng(1).normal(size=values.shape).astype(values.dtype)


def _raise(values: Map) -> Map:
    raise RuntimeError("this port cannot explain such a model")


def _places_of_the_largest(values: Map) -> Map:
    out: Map = (np.abs(values) == np.abs(values).max()).astype(values.dtype) * np.abs(values).max()
    return out


def _sorted(values: Map) -> Map:
    return np.sort(values.reshape(len(values), -1), axis=1).reshape(values.shape)


def _last_row_lost(values: Map) -> Map:
    out = values.copy()
    out[..., -1] = 0
    return out


def _negated_where_input_is_negative(values: Map, x: Map) -> Map:
    return np.where(x < 0, -values, values)


def _divided_by_input(values: Map, x: Map) -> Map:
    return (values / np.where(x == 0, 1, x)).astype(values.dtype)


SCALES = (
    Mutant("scale_20_86", "All values are 20.86 times too large.", scaled(20.86), "slope", (VGG,), ("gradient",)),
    Mutant("scale_1_25", "All values are a quarter too large.", scaled(1.25), "slope", (SERIES,), ("lrp_epsilon_0_1",)),
    Mutant("scale_1_02", "All values are 2 % too large.", scaled(1.02), "slope", (RESNET,), ("lrp_z",)),
    Mutant("scale_1_0014", "All values are 0.14 % too large.", scaled(1.0014), "slope", (DENSE,), ("lrp_z",)),
    Mutant("scale_1e_9", "All values are too large by 1e-9 of themselves.", scaled(1 + 1e-9), "slope", (VGG,),
           ("lrp_alpha_1_beta_0",), "float64"),
    Mutant("tilted", "The map is stretched around its mean by 2e-10, which its norm hardly shows.",
           map_changed(_tilted), "slope", (DENSE,), ("input",), "float64"),
    Mutant("halved", "All values are half as large, as of 1/2 f squared.", scaled(0.5), "slope", (SERIES,),
           ("deconvnet", "guided_backprop")),
    Mutant("normalized", "The map is divided by its largest value, as for display.",
           map_changed(lambda values: values / np.abs(values).max()), "slope", (SERIES,), ("gradient",)),
    Mutant("unit_sum", "The map is divided by its sum.", map_changed(lambda values: values / values.sum()), "slope",
           (DENSE,), ("lrp_epsilon_1",)),
    Mutant("offset_half_deviation", "Half a standard deviation is added everywhere.",
           map_changed(lambda values: values + values.dtype.type(0.5) * values.std()), "rel_l2", (VGG,), ("lrp_flat",)),
    Mutant("offset_1e_8", "1e-8 of the largest value is added everywhere.",
           map_changed(lambda values: values + 1e-8 * np.abs(values).max()), "rel_l2", (RESNET,), ("gradient",),
           "float64"),
    Mutant("mean_taken_off", "The map's mean is taken off.", map_changed(lambda values: values - values.mean()),
           "rel_l2", (VGG,), ("lrp_w_square",)),
)  # fmt: skip

SIGNS = (
    Mutant("negative", "All signs are reversed.", map_changed(np.negative), "slope", (VGG,), ("lrp_z",)),
    Mutant("absolute", "All signs are lost.", map_changed(np.abs), "rel_l2", (SERIES,), ("gradient",)),
    Mutant("positive_part", "Negative relevance is set to zero.", map_changed(lambda values: np.maximum(values, 0)),
           "rel_l2", (DENSE,), ("gradient",)),
    Mutant("squared", "The map is squared.", map_changed(np.square), "rel_l2", (VGG,), ("smoothgrad",)),
    Mutant("signed_root", "Each value is the root of itself, with its sign.", map_changed(_signed_root), "rel_l2",
           (VGG,), ("lrp_epsilon_0_1",)),
    Mutant("negated_where_input_is_negative", "The sign is reversed where the input is negative.",
           map_changed_by_input(_negated_where_input_is_negative), "rel_l2", (SERIES,), ("lrp_z",),
           where="where the input is negative"),
    Mutant("times_input", "The map is multiplied by the input.",
           map_changed_by_input(lambda values, x: values * x), "rel_l2", (DENSE,), ("gradient",)),
    Mutant("divided_by_input", "The map is divided by the input.", map_changed_by_input(_divided_by_input), "rel_l2",
           (VGG,), ("lrp_z",)),
)  # fmt: skip

PLACES = (
    Mutant("mirrored", "The values stand in reverse order along the last axis.",
           map_changed(lambda values: values[..., ::-1].copy()), "rel_l2", (VGG,), ("gradient", "lrp_z")),
    Mutant("upside_down", "The values stand in reverse order along the second last axis.",
           map_changed(lambda values: np.flip(values, -2).copy()), "rel_l2", (RESNET,), ("lrp_z",)),
    Mutant("height_and_width_swapped", "Height and width are swapped.",
           map_changed(lambda values: np.swapaxes(values, -1, -2).copy()), "rel_l2", (VGG,), ("lrp_epsilon_0_1",)),
    Mutant("quarter_turn", "The map is turned by a quarter.",
           map_changed(lambda values: np.rot90(values, 1, (-2, -1)).copy()), "rel_l2", (DENSE,), ("lrp_z",)),
    Mutant("time_reversed", "The series runs backwards.", map_changed(lambda values: values[..., ::-1].copy()),
           "rel_l2", (SERIES,), ("grad_cam_timeseries",)),
    Mutant("shifted_by_one", "The map is shifted by one pixel or step.",
           map_changed(lambda values: np.roll(values, 1, -1)), "rel_l2", (VGG, SERIES), ("gradient",)),
    Mutant("sorted", "The values are right and stand in order of size.", map_changed(_sorted), "rel_l2", (DENSE,),
           ("lrp_w_square",)),
    Mutant("garbage", "Minus three times the map in reverse order along the second last axis.",
           map_changed(lambda values: -3 * np.flip(values, -2).copy()), "rel_l2", (RESNET,), ("lrp_z", "lrp_gamma")),
    Mutant("border_lost", "The outermost ring is zero.", map_changed(lambda values: _border(values, False, 0.0)),
           "rel_l2", (VGG,), ("lrp_flat",), where="border only"),
    Mutant("border_doubled", "The outermost steps are twice as large.",
           map_changed(lambda values: _border(values, False, 2.0)), "rel_l2", (SERIES,), ("gradient",),
           where="border only"),
    Mutant("border_1_001", "The outermost ring is 0.1 % too large.",
           map_changed(lambda values: _border(values, False, 1.001)), "rel_l2", (VGG,), ("lrp_w_square",), "float64",
           where="border only"),
    Mutant("inside_lost", "All but the outermost ring is zero.",
           map_changed(lambda values: _border(values, True, 0.0)), "rel_l2", (VGG,), ("gradient",),
           where="all but the border"),
    Mutant("last_column_lost", "The last column is zero.", map_changed(_last_row_lost), "rel_l2", (RESNET,),
           ("lrp_flat",), where="last column"),
    Mutant("one_value_off", "One value is off by half of the largest.",
           one_value(lambda value, top: value + 0.5 * top), "max_err", (SERIES,), ("lrp_epsilon_1",),
           where="one value"),
    Mutant("one_value_barely_off", "One value is off by 1.5e-9 of the largest, which no mean over the map shows.",
           one_value(lambda value, top: value + MORE_THAN_THE_LARGEST_ERROR * top), "max_err", (VGG,),
           ("random_uniform",), "float64", where="one value"),
    Mutant("largest_value_lost", "The largest value is zero.", largest_value(lambda value: 0), "max_err", (VGG,),
           ("lrp_z",), where="one value"),
    Mutant("zeros_filled", "Values that are exactly zero are 1e-4 of the largest.", map_changed(_zeros_filled),
           "rel_l2", (VGG,), ("grad_cam",), where="where the map is zero"),
    Mutant("small_values_lost", "Values under a thousandth of the largest are zero.", map_changed(_without_small),
           "rel_l2", (DENSE,), ("lrp_epsilon_0_1",), where="small values"),
)  # fmt: skip

NOISE = (
    Mutant("noise_2_percent", "Noise of 2 % of the norm is added.", noisy(0.02), "rel_l2", (VGG,), ("lrp_z",)),
    Mutant("noise_1e_9", "Noise of 1e-9 of the norm is added.", noisy(1e-9), "rel_l2", (RESNET,), ("lrp_w_square",),
           "float64"),
    Mutant("random", "Standard normal numbers.", map_changed(_random), "rel_l2", (VGG,), ("lrp_z", "lrp_flat")),
    Mutant("even", "The right sum, spread evenly.",
           map_changed(lambda values: np.full_like(values, values.mean(dtype=np.float64))), "rel_l2", (SERIES,),
           ("lrp_z",)),
    Mutant("largest_everywhere", "The largest value, everywhere.",
           map_changed(lambda values: np.full_like(values, values.max())), "rel_l2", (DENSE,), ("gradient",)),
    Mutant("largest_only", "Zero but for the largest value.", map_changed(_places_of_the_largest), "rel_l2", (VGG,),
           ("gradient",)),
    Mutant("smoothed", "Each value is the mean of its neighbourhood.", map_changed(_smooth), "rel_l2", (VGG,),
           ("lrp_z",)),
    Mutant("coarse", "Every second value, repeated.", map_changed(_coarse), "rel_l2", (SERIES,), ("lrp_z",)),
    Mutant("eight_bits", "Rounded to 8 bits of the largest value.", map_changed(_eight_bits), "rel_l2", (DENSE,),
           ("lrp_z",)),
    Mutant("clipped", "Clipped where 1 % of the values are larger, as for display.", map_changed(_clipped), "rel_l2",
           (SERIES,), ("lrp_z",), where="largest values"),
    Mutant("half_precision", "Rounded to float16.",
           map_changed(lambda values: values.astype(np.float16).astype(values.dtype)), "rel_l2", (RESNET,),
           ("gradient",)),
)  # fmt: skip

SHAPES = (
    Mutant("cropped", "The last column is missing.", map_changed(lambda values: values[..., :-1]), "shape", (VGG,),
           ("gradient",)),
    Mutant("narrow", "Only the first three columns are there.", map_changed(lambda values: values[..., :3]), "shape",
           (RESNET,), ("guided_backprop", "lrp_z")),
    Mutant("batch_axis_lost", "The axis of the samples is missing.", map_changed(lambda values: values[0]), "shape",
           (VGG,), ("lrp_z",)),
    Mutant("batch_axis_twice", "There is one more axis of one sample.", map_changed(lambda values: values[None]),
           "shape", (SERIES,), ("gradient",)),
    Mutant("channels_summed", "The channels are added up, and their axis is gone.",
           map_changed(lambda values: values.sum(axis=1)), "shape", (DENSE,), ("lrp_z",)),
    Mutant("channels_last", "The channels come last, as in Keras.",
           map_changed(lambda values: np.moveaxis(values, 1, -1)), "shape", (VGG,), ("lrp_flat",)),
    Mutant("flat", "The map is a vector.", map_changed(lambda values: values.reshape(len(values), -1)), "shape",
           (DENSE,), ("gradient",)),
    Mutant("nothing", "There is no map.", map_changed(lambda values: None), "error", (VGG,), ("gradient",)),
    Mutant("raises", "The port raises.", map_changed(_raise), "error", (RESNET,), ("lrp_z",)),
    Mutant("raises_in_float64", "The port raises in float64 only.", map_changed(_raise), "error", (DENSE,),
           ("lrp_z",), "float64"),
    Mutant("raises_in_float32", "The port raises in float32 only.", map_changed(_raise), "error", (SERIES,),
           ("gradient",), "float32"),
)  # fmt: skip

NO_NUMBERS = (
    Mutant("nan", "Not a number, everywhere.", map_changed(lambda values: np.full_like(values, np.nan)), "finite",
           (VGG,), ("gradient", "lrp_epsilon_0_1", "lrpsign_z")),
    Mutant("nan_in_float32", "Not a number, everywhere, in float32.",
           map_changed(lambda values: np.full_like(values, np.nan)), "finite", (DENSE,), ("lrp_z",), "float32"),
    Mutant("nan_in_one_pixel", "One value is not a number.", one_value(lambda value, top: np.nan), "finite", (SERIES,),
           ("lrp_z",), where="one value"),
    Mutant("infinite_in_one_pixel", "One value is infinite.", one_value(lambda value, top: np.inf), "finite", (VGG,),
           ("lrp_flat",), where="one value"),
    Mutant("minus_infinity_at_the_top", "The largest value is minus infinity.", largest_value(lambda value: -np.inf),
           "finite", (RESNET,), ("gradient",), where="one value"),
    Mutant("zero", "Zero, everywhere.", map_changed(np.zeros_like), "zero", (VGG,), ("lrp_z", "gradient")),
    Mutant("zero_in_float32", "Zero, everywhere, in float32.", map_changed(np.zeros_like), "zero", (SERIES,),
           ("lrp_epsilon_0_1",), "float32"),
)  # fmt: skip

MUTANTS: tuple[Mutant, ...] = (*SCALES, *SIGNS, *PLACES, *NOISE, *SHAPES, *NO_NUMBERS)
"""The mutants of this file."""
