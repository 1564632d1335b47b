"""Ports that explain another network: a spoilt copy of weights, biases, padding, normalisation or activations."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from parity.run.mutants.maps import DENSE, RESNET, SERIES, VGG
from parity.run.mutants.mutant import Mutant, model_changed
from parity.run.mutants.networks import NESTED

Change = Callable[[nn.Module], Any]
KERNELS = (nn.Linear, nn.Conv1d, nn.Conv2d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def kernels(model: nn.Module) -> list[Any]:
    """Return the layers with a kernel, input to output."""
    return [module for module in model.modules() if isinstance(module, KERNELS)]


def norms(model: nn.Module) -> list[Any]:
    """Return the batch normalisations."""
    return [module for module in model.modules() if isinstance(module, NORMS)]


def layer(model: nn.Module, name: str) -> Any:
    """Return a layer by its name."""
    return model.get_submodule(name)


def one_kernel(name: str, factor: float) -> Change:
    """Return what multiplies one layer's weights."""
    return lambda model: layer(model, name).weight.mul_(factor)


def one_bias(name: str, factor: float) -> Change:
    """Return what multiplies one layer's bias."""
    return lambda model: layer(model, name).bias.mul_(factor)


def every_bias(factor: float) -> Change:
    """Return what multiplies every bias."""

    def change(model: nn.Module) -> None:
        for kernel in kernels(model):
            if kernel.bias is not None:
                kernel.bias.mul_(factor)

    return change


def quantised(steps: int) -> Change:
    """Return what rounds each layer's weights to so many steps of the largest."""

    def change(model: nn.Module) -> None:
        for kernel in kernels(model):
            unit = kernel.weight.abs().max() / steps
            kernel.weight.copy_((kernel.weight / unit).round() * unit)

    return change


def first_layer_flattened_last(model: nn.Module) -> None:
    """Give the first dense layer behind maps its columns in Keras' order, while the maps come in torch's."""
    convolution = [module for module in kernels(model) if not isinstance(module, nn.Linear)][-1]
    dense = next(module for module in kernels(model) if isinstance(module, nn.Linear))
    columns = dense.weight.unflatten(1, (convolution.out_channels, -1))
    dense.weight.copy_(columns.transpose(1, 2).flatten(1))


def every_norm(change: Change) -> Change:
    """Return what changes every batch normalisation."""

    def spoil(model: nn.Module) -> None:
        for norm in norms(model):
            change(norm)

    return spoil


def module_replaced(name: str, make: Callable[[Any], nn.Module]) -> Change:
    """Return what puts another module in a module's place."""

    def change(model: nn.Module) -> None:
        parent, _, last = name.rpartition(".")
        setattr(layer(model, parent), last, make(layer(model, name)))

    return change


def modules_replaced(kind: type[nn.Module], make: Callable[[Any], nn.Module]) -> Change:
    """Return what puts another module in the place of every module of a kind."""

    def change(model: nn.Module) -> None:
        names = [name for name, module in model.named_modules() if isinstance(module, kind)]
        for name in names:
            module_replaced(name, make)(model)

    return change


def _one_weight(name: str) -> Change:
    def change(model: nn.Module) -> None:
        weight = layer(model, name).weight
        weight.view(-1)[weight.numel() // 3] += 0.01 * weight.abs().max()

    return change


def _largest_filter_lost(name: str) -> Change:
    def change(model: nn.Module) -> None:
        weight = layer(model, name).weight
        weight[weight.flatten(1).norm(dim=1).argmax()] = 0

    return change


def _turned(name: str) -> Change:
    """Flip a kernel along all its places: a convolution as mathematicians write it."""
    return lambda model: assign(layer(model, name), lambda weight: weight.flip(tuple(range(2, weight.dim()))))


def assign(module: Any, change: Callable[[Tensor], Tensor]) -> None:
    """Put what a function makes of a layer's weights in their place."""
    module.weight.copy_(change(module.weight).clone())


def _swapped(name: str) -> Change:
    return lambda model: assign(layer(model, name), lambda weight: weight.transpose(2, 3))


def _in_and_out_swapped(name: str) -> Change:
    return lambda model: assign(layer(model, name), lambda weight: weight.transpose(0, 1))


def _channels_reversed(name: str) -> Change:
    return lambda model: assign(layer(model, name), lambda weight: weight.flip(1))


def _small_weights_lost(model: nn.Module) -> None:
    for kernel in kernels(model):
        kernel.weight[kernel.weight.abs() < 0.02 * kernel.weight.abs().max()] = 0


def _margins_mirrored(model: nn.Module) -> None:
    """Pad on the other side where `same` pads unequally."""
    for module in kernels(model):
        margins = getattr(module, "margins", None)
        if margins is not None:
            module.margins = tuple((after, before) for before, after in margins)


def _padding_mode(name: str, mode: str) -> Change:
    def make(old: Any) -> nn.Module:
        kind: Any = type(old)
        new = kind(old.in_channels, old.out_channels, old.kernel_size, old.stride, old.padding, padding_mode=mode)
        new.load_state_dict(old.state_dict())
        return new.to(old.weight.dtype).eval()  # type: ignore[no-any-return]

    return module_replaced(name, make)


def _dropped(attribute: str) -> Change:
    def change(norm: Any) -> None:
        getattr(norm, attribute).copy_(torch.zeros_like(getattr(norm, attribute)))

    return change


def _gamma_dropped(norm: Any) -> None:
    norm.weight.fill_(1.0)


def _variance_squared(norm: Any) -> None:
    norm.running_var.square_()


def _sample_variance(norm: Any) -> None:
    norm.running_var.mul_(1024 / 1023)


def _gradient_in_train_mode(model: nn.Module, x: Tensor, method: str, target: list[int], **parameters: Any) -> Any:
    """Take the gradient with torch alone, of a copy in train mode: the port itself explains any model in eval mode."""
    spoilt = copy.deepcopy(model).train()
    point = x.clone().requires_grad_()
    logits = spoilt(point)
    (gradient,) = torch.autograd.grad(logits[range(len(x)), target].sum(), point)
    return gradient


def _epsilon(value: float) -> Change:
    def change(norm: Any) -> None:
        norm.eps = value

    return change


def _shifted_pooling(old: Any) -> nn.Module:
    return _Shifted(old)


class _Shifted(nn.Module):
    """A max-pooling whose windows begin one place late."""

    def __init__(self, pooling: Any) -> None:
        super().__init__()
        self.stride = pooling.stride
        self.kernel = pooling.kernel_size
        self.two = isinstance(pooling, nn.MaxPool2d)

    def forward(self, x: Tensor) -> Tensor:
        """Return the maxima of the windows of `x` moved by one."""
        moved = x.roll(-1, -1)
        pool: Any = nn.functional.max_pool2d if self.two else nn.functional.max_pool1d
        return pool(moved, self.kernel, self.stride)  # type: ignore[no-any-return]


def _average_pooling(old: Any) -> nn.Module:
    kind: Any = nn.AvgPool2d if isinstance(old, nn.MaxPool2d) else nn.AvgPool1d
    return kind(old.kernel_size, old.stride)  # type: ignore[no-any-return]


def _only_the_branch(model: nn.Module) -> None:
    """Lose the shortcut of the first residual block."""
    layer(model, "block1_add").register_forward_pre_hook(_second_only)


def _second_only(module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    branches = inputs[0]
    return torch.stack([torch.zeros_like(branches[..., 1]), branches[..., 1]], -1)


def _initialised_anew(model: nn.Module) -> None:
    generator = torch.Generator().manual_seed(1)
    for kernel in kernels(model):
        noise = torch.randn(kernel.weight.shape, generator=generator, dtype=torch.float64)
        kernel.weight.copy_(noise * kernel.weight.std())


def _softmax_kept(model: Any) -> None:
    model.append("probabilities", nn.Softmax(dim=1))


def _trained_on(model: nn.Module) -> None:
    """Move all weights by a hundredth of their spread, as one more epoch does."""
    generator = torch.Generator().manual_seed(2)
    for kernel in kernels(model):
        noise = torch.randn(kernel.weight.shape, generator=generator, dtype=torch.float64)
        kernel.weight.add_((0.01 * noise).to(kernel.weight) * kernel.weight.std())


WEIGHTS = (
    Mutant("weights_1_001_of_vgg", "One convolution's weights are 0.1 % too large.",
           model_changed(one_kernel("block2_conv2", 1.001)), "rel_l2", (VGG,), ("gradient", "lrp_z"),
           where="one layer"),
    Mutant("weights_1_03_of_vgg", "One convolution's weights are 3 % too large.",
           model_changed(one_kernel("block2_conv1", 1.03)), "rel_l2", (VGG,), ("lrp_alpha_1_beta_0",),
           where="one layer"),
    Mutant("weights_1_001_of_dense", "One dense layer's weights are 0.1 % too large.",
           model_changed(one_kernel("fc2", 1.001)), "rel_l2", (DENSE,), ("gradient", "lrp_epsilon_1"),
           where="one layer"),
    Mutant("weights_1_001_of_resnet", "One convolution's weights are 0.1 % too large.",
           model_changed(one_kernel("block2_1_conv", 1.001)), "rel_l2", (RESNET,), ("gradient",), where="one layer"),
    Mutant("weights_1_001_of_series", "One convolution's weights are 0.1 % too large.",
           model_changed(one_kernel("conv2", 1.001)), "rel_l2", (SERIES,), ("gradient", "lrp_z"), where="one layer"),
    Mutant("nested_layer_1_001", "The inner network's weights are 0.1 % too large.",
           model_changed(one_kernel("block/inside", 1.001)), "rel_l2", (NESTED,), ("gradient", "lrp_z"),
           where="one layer"),
    Mutant("weights_1e_8", "One layer's weights are too large by 1e-8 of themselves.",
           model_changed(one_kernel("fc1", 1 + 1e-8)), "rel_l2", (DENSE,), ("gradient",), "float64", "one layer"),
    Mutant("one_weight_off", "One weight is off by 1 % of the largest.", model_changed(_one_weight("block1_conv2")),
           "rel_l2", (VGG,), ("gradient",), where="one weight"),
    Mutant("one_filter_lost", "One filter is zero.", model_changed(_largest_filter_lost("conv1")), "rel_l2", (SERIES,),
           ("lrp_z", "gradient"), where="one filter"),
    Mutant("small_weights_lost", "Weights under 2 % of a layer's largest are zero.",
           model_changed(_small_weights_lost), "rel_l2", (DENSE,), ("lrp_z",), where="small weights"),
    Mutant("kernel_turned", "One convolution's kernel is flipped, as mathematicians write a convolution.",
           model_changed(_turned("conv2")), "rel_l2", (SERIES,), ("gradient", "lrp_flat"), where="one layer"),
    Mutant("kernel_height_and_width_swapped", "One kernel's height and width are swapped.",
           model_changed(_swapped("block1_conv1")), "rel_l2", (VGG,), ("gradient",), where="one layer"),
    Mutant("kernel_in_and_out_swapped", "One kernel's input and output channels are swapped.",
           model_changed(_in_and_out_swapped("block1_conv2")), "rel_l2", (VGG,), ("lrp_z",), where="one layer"),
    Mutant("kernel_channels_reversed", "One layer reads its input channels in reverse order.",
           model_changed(_channels_reversed("block1_conv2")), "rel_l2", (VGG,), ("gradient",), where="one layer"),
    Mutant("flattened_in_the_other_order", "The first dense layer reads the channels in the other order.",
           model_changed(first_layer_flattened_last), "rel_l2", (VGG, SERIES), ("lrp_epsilon_0_1",),
           where="first dense layer"),
    Mutant("weights_of_another_model", "The weights are random.", model_changed(_initialised_anew), "rel_l2",
           (VGG,), ("gradient", "lrp_z"), where="weights of all layers"),
    Mutant("weights_of_yesterday", "The map is that of the weights before one more epoch, as a stale store has it.",
           model_changed(_trained_on), "rel_l2", (RESNET, DENSE), ("gradient",), where="weights of all layers"),
)  # fmt: skip

BIASES = (
    Mutant("biases_dropped", "No layer has its bias.", model_changed(every_bias(0.0)), "rel_l2", (VGG, SERIES),
           ("gradient", "lrp_z"), where="biases of all layers"),
    Mutant("biases_doubled", "Every bias is twice as large.", model_changed(every_bias(2.0)), "rel_l2", (DENSE,),
           ("lrp_epsilon_0_1",), where="biases of all layers"),
    Mutant("biases_negated", "Every bias has the other sign.", model_changed(every_bias(-1.0)), "rel_l2", (SERIES,),
           ("lrp_epsilon_0_1",), where="biases of all layers"),
    Mutant("last_bias_dropped", "The last layer lacks its bias.", model_changed(one_bias("predictions", 0.0)),
           "rel_l2", (RESNET,), ("lrp_epsilon_0_1",), where="bias of one layer"),
    Mutant("one_bias_1_001", "One layer's bias is 0.1 % too large.", model_changed(one_bias("fc1", 1.001)), "rel_l2",
           (DENSE,), ("lrp_alpha_1_beta_0",), "float64", "bias of one layer"),
)  # fmt: skip

LAYERS = (
    Mutant("same_padding_mirrored", "`same` pads on the other side where it pads unequally.",
           model_changed(_margins_mirrored), "rel_l2", (RESNET,), ("gradient", "lrp_z"), where="strided convolutions"),
    Mutant("border_replicated", "The first convolution's border is padded with its neighbours.",
           model_changed(_padding_mode("block1_conv1", "replicate")), "rel_l2", (VGG,), ("gradient",),
           where="border only"),
    Mutant("border_circular", "The first convolution's border is padded with the other end of the series.",
           model_changed(_padding_mode("conv1", "circular")), "rel_l2", (SERIES,), ("gradient", "lrp_z"),
           where="border only"),
    Mutant("average_for_max", "Max-pooling is average pooling.",
           model_changed(module_replaced("pool2", _average_pooling)), "rel_l2", (SERIES,), ("gradient", "lrp_z"),
           where="one layer"),
    Mutant("pooling_shifted", "The windows of one pooling begin one place late.",
           model_changed(module_replaced("block1_pool", _shifted_pooling)), "rel_l2", (VGG,), ("gradient", "lrp_z"),
           where="one layer"),
    Mutant("leaky", "ReLUs leak 1 %.", model_changed(modules_replaced(nn.ReLU, lambda old: nn.LeakyReLU(0.01))),
           "rel_l2", (VGG,), ("gradient",), where="all activations"),
    Mutant("smooth_relu", "ReLUs are GELUs.", model_changed(modules_replaced(nn.ReLU, lambda old: nn.GELU())),
           "rel_l2", (DENSE,), ("gradient", "lrp_z"), where="all activations"),
    Mutant("one_relu_lost", "One ReLU is missing.",
           model_changed(module_replaced("fc1_activation", lambda old: nn.Identity())), "rel_l2", (DENSE,),
           ("gradient", "lrp_z"), where="one activation"),
    Mutant("bounded_relu", "ReLUs stop at 1.", model_changed(modules_replaced(nn.ReLU, lambda old: nn.Hardtanh(0, 1))),
           "rel_l2", (VGG,), ("gradient",), where="all activations"),
    Mutant("shortcut_lost", "The first residual block has lost its shortcut.", model_changed(_only_the_branch),
           "rel_l2", (RESNET,), ("gradient", "lrp_z"), where="one layer"),
    Mutant("probability_explained", "The softmax was not taken off.", model_changed(_softmax_kept), "rel_l2", (VGG,),
           ("gradient",), where="last layer"),
)  # fmt: skip

NORMALISATION = (
    Mutant("norm_epsilon_of_torch", "Batch normalisation has torch's epsilon, 1e-5, in place of Keras' 1e-3.",
           model_changed(every_norm(_epsilon(1e-5))), "rel_l2", (RESNET,), ("gradient", "lrp_z"),
           where="all normalisations"),
    Mutant("norm_epsilon_1_001", "Batch normalisation has an epsilon 0.1 % too large.",
           model_changed(every_norm(_epsilon(1.001e-3))), "rel_l2", (RESNET,), ("gradient",), "float64",
           "all normalisations"),
    Mutant("norm_in_train_mode", "Batch normalisation takes mean and variance of the batch, as in training.",
           _gradient_in_train_mode, "rel_l2", (RESNET,), ("gradient",), where="all normalisations"),
    Mutant("norm_without_mean", "Batch normalisation forgets the mean.",
           model_changed(every_norm(_dropped("running_mean"))), "rel_l2", (RESNET,), ("lrp_z",),
           where="all normalisations"),
    Mutant("norm_without_offset", "Batch normalisation forgets beta.", model_changed(every_norm(_dropped("bias"))),
           "rel_l2", (RESNET,), ("gradient", "lrp_epsilon_0_1"), where="all normalisations"),
    Mutant("norm_without_scale", "Batch normalisation forgets gamma.", model_changed(every_norm(_gamma_dropped)),
           "rel_l2", (RESNET,), ("lrp_alpha_1_beta_0",), where="all normalisations"),
    Mutant("norm_variance_squared", "Batch normalisation squares the variance.",
           model_changed(every_norm(_variance_squared)), "rel_l2", (RESNET,), ("gradient",),
           where="all normalisations"),
    Mutant("norm_sample_variance", "Batch normalisation takes the sample's variance for the population's.",
           model_changed(every_norm(_sample_variance)), "rel_l2", (RESNET,), ("gradient",),
           where="all normalisations"),
)  # fmt: skip

MUTANTS: tuple[Mutant, ...] = (*WEIGHTS, *BIASES, *LAYERS, *NORMALISATION)
"""The mutants of this file."""
