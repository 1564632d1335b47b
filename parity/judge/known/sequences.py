"""What is known of both references on sequences: tokens, masks and recurrent layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parity.judge.known.conditions import RECURRENT, classes, masked_averages
from parity.judge.known.difference import KnownDifference
from parity.keras import ModelDescription

if TYPE_CHECKING:
    from signxai_torch.methods.grammar import Method


def _embedding(method: Method, model: ModelDescription) -> bool:
    return bool(method.row.layers) and "Embedding" in classes(model)


def _recurrence(method: Method, model: ModelDescription) -> bool:
    return not method.row.layers and method.family not in ("input", "random") and bool(classes(model) & RECURRENT)


def _masked_average(method: Method, model: ModelDescription) -> bool:
    return method.family not in ("input", "random") and bool(masked_averages(model))


SEQUENCES: tuple[KnownDifference, ...] = (
    KnownDifference(
        name="signxai-embedding",
        references=("signxai",),
        applies=_embedding,
        condition="LRP on a model with an Embedding, in signxai 1.1.9.2.",
        cause=(
            "It has no rule for the layer and takes its gradient, which whole numbers do not have, and hands back the "
            "tokens themselves; iNNvestigate 2.1.2 has a rule: the relevance of a token is the sum of its vector's."
        ),
        evidence=(
            "Embedding(11, 4), Conv1D relu, GlobalMaxPooling1D, Dense on 12 tokens: lrp_z and gradient are the tokens, "
            "12 whole numbers that sum to 31. iNNvestigate and the port agree, and a port that averages the vector's "
            "relevance, or takes one of its numbers, does not."
        ),
    ),
    KnownDifference(
        name="innvestigate-recurrence",
        references=("innvestigate",),
        applies=_recurrence,
        condition="Gradients of a model with recurrent layers, in innvestigate 2.1.2.",
        cause=(
            "It takes the gradient layer by layer in a graph that is built already, and the loop of a recurrent layer "
            "does not give out what its gradient needs; no request of the process is answered after that."
        ),
        evidence=(
            "LSTM, Dense: gradient raises InvalidArgumentError (Connecting to invalid output 66 of source node "
            "s/while). With TensorFlow's output_all_intermediates it raises InternalError (type 21 not convertible to "
            "numpy dtype), with control flow of version 1 RecursionError. SIGN-XAI's gradient and the port's agree."
        ),
        recipe="averaged",
    ),
    KnownDifference(
        name="innvestigate-masked-average",
        references=("innvestigate",),
        applies=_masked_average,
        condition="A GlobalAveragePooling1D that leaves out masked steps, in innvestigate 2.1.2.",
        cause="It copies the layers, and the copied average still hangs on the original's mask, which nobody feeds.",
        evidence=(
            "Masking, Dense relu, GlobalAveragePooling1D, Dense: gradient, lrp.z, integrated_gradients and "
            "guided_backprop raise InvalidArgumentError: You must feed a value for placeholder tensor. Without the "
            "Masking, or with a Conv1D behind it, which drops the mask, it gives maps."
        ),
    ),
)
