"""What is known of both references on sequences: tokens, masks and recurrent layers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from parity.judge.known.conditions import classes, layers_at_every_step, masked_attentions, masked_averages
from parity.judge.known.difference import KnownDifference
from parity.judge.known.rewrites import ATTENTION_BY_HEADS
from parity.keras import LayerDescription, ModelDescription
from parity.keras.handlers.recurrent import RECURRENT

if TYPE_CHECKING:
    from signxai_torch.methods.grammar import Method


def _embedding(method: Method, model: ModelDescription) -> bool:
    return bool(method.row.layers) and "Embedding" in classes(model)


def _recurrence(method: Method, model: ModelDescription) -> bool:
    if any(kind in RECURRENT for kind, _ in layers_at_every_step(model)):
        return method.family not in ("input", "random")
    return not method.row.layers and method.family not in ("input", "random") and bool(classes(model) & RECURRENT)


def _masked_average(method: Method, model: ModelDescription) -> bool:
    return method.family not in ("input", "random") and bool(masked_averages(model))


def _masked_attention(method: Method, model: ModelDescription) -> bool:
    return method.family not in ("input", "random") and bool(masked_attentions(model))


def _heads(method: Method, model: ModelDescription) -> bool:
    return method.family not in ("input", "random", "random_uniform") and bool(_attentions(model))


def _other_tensors(method: Method, model: ModelDescription) -> bool:
    several = any(len(set(layer.inbound)) > 1 for layer in _attentions(model))
    return method.family not in ("input", "random") and several


def _heads_of_several(method: Method, model: ModelDescription) -> bool:
    return method.family not in ("input", "random") and len(_attentions(model)) > 1


def _causal_heads(method: Method, model: ModelDescription) -> bool:
    causal = any(layer.settings.get("use_causal_mask") for layer in _attentions(model))
    return method.family not in ("input", "random") and causal


def _attentions(model: ModelDescription) -> list[LayerDescription]:
    return [layer for layer in model.layers if layer.class_name == "MultiHeadAttention"]


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
        name="signxai-tensors-by-name",
        references=("signxai",),
        applies=_heads,
        condition="A model with MultiHeadAttention, in signxai 1.1.9.2.",
        cause=(
            "It calls every layer with one list of tensors, and this one takes its query and its value as two "
            "arguments. Where each head is an Attention layer, which takes a list, it gives maps."
        ),
        evidence=(
            "Conv1D, MultiHeadAttention(2, 3) of itself, Flatten, Dense: gradient, lrp_z, lrpsign_epsilon_0_25_std_x "
            "and four more names asked raise TypeError (MultiHeadAttention.call() missing 1 required positional "
            "argument: 'value'). With an Attention layer for each head, and also with another tensor as the value, "
            "they agree with the port to 1.1e-15; iNNvestigate's gradient, asked of the layer itself, to 6.5e-17."
        ),
        rewrites=(ATTENTION_BY_HEADS,),
    ),
    KnownDifference(
        name="innvestigate-tensors-by-name",
        references=("innvestigate",),
        applies=_other_tensors,
        condition="A MultiHeadAttention whose value or key is another tensor than its query, in innvestigate 2.1.2.",
        cause=(
            "It takes the first argument of a call for all that a layer reads, so that what comes by the value and "
            "the key has no gradient and no relevance. Where all three are one tensor, it is right."
        ),
        evidence=(
            "Two Conv1D, MultiHeadAttention(2, 3) with value=, Flatten, Dense: rel. L2 between the port and gradient "
            "2.3, lrp.z 4.8, lrp.alpha_2_beta_1 0.9. iNNvestigate's gradient is the one with the value held "
            "constant, to 6.3e-16. With an Attention layer for each head, lrp.alpha_2_beta_1 agrees with the port to "
            "8.0e-16."
        ),
        rewrites=(ATTENTION_BY_HEADS,),
    ),
    KnownDifference(
        name="innvestigate-several-attentions",
        references=("innvestigate",),
        applies=_heads_of_several,
        condition="A model with several MultiHeadAttention layers, in innvestigate 2.1.2.",
        cause=(
            "Its graph finds the layers inside of these, which Keras calls by the same names in each, and Keras takes "
            "no name twice."
        ),
        evidence=(
            "Conv1D, MultiHeadAttention, Add, MultiHeadAttention, Flatten, Dense: gradient, lrp.z and six others raise "
            'ValueError (The name "query" is used 2 times in the model). With an Attention layer for each head, they '
            "agree with the port to 5.8e-16."
        ),
        rewrites=(ATTENTION_BY_HEADS,),
    ),
    KnownDifference(
        name="innvestigate-causal-attention",
        references=("innvestigate",),
        applies=_causal_heads,
        condition="A MultiHeadAttention that is called with use_causal_mask=True, in innvestigate 2.1.2.",
        cause=(
            "Its graph makes layers of the operations inside of the layer, and Keras then computes the size of the "
            "causal mask, which is made of the input's shape, without the input."
        ),
        evidence=(
            "Conv1D, MultiHeadAttention(2, 3) of itself with use_causal_mask=True, Flatten, Dense: gradient and "
            "lrp.alpha_2_beta_1 raise InvalidArgumentError (You must feed a value for placeholder tensor 'x'); called "
            "without it, they give maps. With an Attention layer with causal=True for each head, lrp.alpha_2_beta_1 "
            "agrees with the port to 3.8e-16."
        ),
        rewrites=(ATTENTION_BY_HEADS,),
    ),
    KnownDifference(
        name="innvestigate-recurrence",
        references=("innvestigate",),
        applies=_recurrence,
        condition=(
            "Gradients of a model with recurrent layers, and LRP where they are inside of a TimeDistributed, whose "
            "derivative it takes, in innvestigate 2.1.2."
        ),
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
    KnownDifference(
        name="innvestigate-masked-attention",
        references=("innvestigate",),
        applies=_masked_attention,
        condition="Attention of any kind that leaves out masked steps, in innvestigate 2.1.2.",
        cause="It copies the layers, and the copied attention still hangs on the original's mask, which nobody feeds.",
        evidence=(
            "Masking, two Dense, Attention, Flatten, Dense: gradient, lrp.z, lrp.alpha_2_beta_1, integrated_gradients "
            "and guided_backprop raise InvalidArgumentError (You must feed a value for placeholder tensor); with "
            "MultiHeadAttention they do too. SIGN-XAI's gradient, lrp_z and five more names agree with the port to "
            "1.1e-15 with Attention."
        ),
    ),
)
