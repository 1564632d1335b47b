"""Parts of networks to draw from: each reads one tensor of any shape and returns another, or the same."""

from __future__ import annotations

from collections.abc import Callable

from tests.fuzz.blocks.kernels import convolution, locally_connected, transposed
from tests.fuzz.blocks.merging import (
    attending,
    gated,
    joined,
    merged,
    multiplied_out,
    read_again,
    residual,
    second_input,
    twice,
)
from tests.fuzz.blocks.operations import (
    by_a_function_of_numbers,
    by_function,
    halves,
    means_and_maxima,
    over_their_deviation,
    taken,
)
from tests.fuzz.blocks.plain import activation_layer, enlarged, margins, moved, normalization, pooling
from tests.fuzz.blocks.preparing import normalized_by_sample, rescaled, resized
from tests.fuzz.blocks.sequences import masked, recurrent, repeated, time_distributed
from tests.fuzz.builder import Builder

Block = Callable[[Builder, str], str]

BLOCKS: tuple[Block, ...] = (
    convolution, convolution, convolution, convolution, pooling, pooling, normalization, normalization,
    activation_layer, activation_layer, margins, moved, residual, residual, joined, joined, transposed,
    locally_connected, enlarged, merged, gated, multiplied_out, attending, twice, second_input, rescaled, resized,
    normalized_by_sample, recurrent, time_distributed, masked, repeated, taken, by_function, halves, means_and_maxima,
    read_again, by_a_function_of_numbers, over_their_deviation,
)  # fmt: skip
SPATIAL_BLOCKS: tuple[Block, ...] = (
    convolution, convolution, pooling, normalization, activation_layer, margins, residual, joined, enlarged, merged,
    transposed,
)  # fmt: skip
"""Those that work on channels and places, wherever the channels are and however many places there are."""
