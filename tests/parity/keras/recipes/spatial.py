"""Three spatial axes, transposed and unshared kernels, upsampling, open lengths, and what else works on space."""

from __future__ import annotations

from typing import Any

from tests.parity.keras.recipes.classic import sequential
from tests.parity.keras.recipes.registry import recipe


@recipe
def volumes(keras: Any) -> Any:
    L = keras.layers
    return sequential(
        keras,
        (7, 8, 6, 2),
        L.ZeroPadding3D(((1, 0), (0, 2), (1, 1))),
        L.Conv3D(4, (2, 3, 2), strides=(1, 2, 1), padding="same", activation="relu"),
        L.BatchNormalization(),
        L.SpatialDropout3D(0.3),
        L.MaxPooling3D((2, 3, 2), strides=(2, 1, 2), padding="same"),
        L.Cropping3D(((0, 1), (1, 0), (0, 1))),
        L.Conv3D(4, 2, dilation_rate=(1, 2, 1), groups=2, use_bias=False),
        L.AveragePooling3D((1, 2, 2), padding="same"),
        L.Dense(3, activation="tanh"),
    )


@recipe
def volumes_averaged(keras: Any) -> Any:
    L = keras.layers
    layers = [L.Conv3D(3, 2), L.AveragePooling3D(2), L.GlobalAveragePooling3D(), L.Dense(3)]
    return keras.Sequential([L.InputLayer((5, 6, 5, 2)), *layers])


@recipe
def volumes_maximum(keras: Any) -> Any:
    L = keras.layers
    layers = [L.Conv3D(3, 3, padding="same"), L.MaxPooling3D(), L.GlobalMaxPooling3D(keepdims=True), L.Flatten()]
    return keras.Sequential([L.InputLayer((5, 6, 5, 2)), *layers, L.Dense(3)])


@recipe
def volumes_average_kept(keras: Any) -> Any:
    L = keras.layers
    layers = [L.Conv3D(3, 2), L.BatchNormalization(axis=[1, 2]), L.GlobalAveragePooling3D(keepdims=True), L.Flatten()]
    return keras.Sequential([L.InputLayer((3, 4, 3, 2)), *layers, L.Dense(3)])


def transposed(name: str, shape: tuple, kind: str, *arguments: Any, **settings: Any) -> None:
    """Keep a recipe: one transposed convolution in front of a classifier."""

    def build(keras: Any) -> Any:
        made = getattr(keras.layers, kind)(3, *arguments, activation="relu", **settings)
        return sequential(keras, shape, made)

    build.__name__ = name
    recipe(build)


for _axes, _shape in ((1, (5, 2)), (2, (4, 5, 2)), (3, (3, 4, 3, 2))):
    _kind = f"Conv{_axes}DTranspose"
    for _padding in ("same", "valid"):
        for _kernel, _stride in ((3, 2), (2, 2), (4, 2), (2, 3), (3, 1), (4, 1), (1, 2), (5, 3)):
            _name = f"transposed_{_axes}d_{_padding}_{_kernel}_{_stride}"
            transposed(_name, _shape, _kind, _kernel, strides=_stride, padding=_padding)
        _name = f"transposed_{_axes}d_{_padding}_output_padding"
        transposed(_name, _shape, _kind, 3, strides=3, padding=_padding, output_padding=1)
        transposed(f"{_name}_even", _shape, _kind, 4, strides=3, padding=_padding, output_padding=2, use_bias=False)
for _padding in ("same", "valid"):
    transposed(
        f"transposed_2d_{_padding}_dilated", (6, 5, 2), "Conv2DTranspose", (3, 2), padding=_padding, dilation_rate=2
    )


@recipe
def transposed_open_length(keras: Any) -> Any:
    L = keras.layers
    layers = [L.Conv1DTranspose(3, 4, strides=3, padding="same"), L.Conv1DTranspose(3, 2, strides=3)]
    return keras.Sequential([L.InputLayer((None, 2)), *layers, L.GlobalMaxPooling1D(), L.Dense(3)])


def connected(name: str, shape: tuple, kind: str, *arguments: Any, **settings: Any) -> None:
    """Keep a recipe for each way in which an unshared kernel is stored."""
    for implementation in (1, 2, 3):

        def build(keras: Any, implementation: int = implementation) -> Any:
            layer = getattr(keras.layers, kind)
            made = layer(3, *arguments, implementation=implementation, activation="tanh", **settings)
            return sequential(keras, shape, made)

        build.__name__ = f"{name}_{implementation}"
        if implementation > 1 or settings.get("padding", "valid") == "valid":
            recipe(build)


connected("connected_1d", (7, 2), "LocallyConnected1D", 3, strides=2)
connected("connected_2d", (5, 6, 2), "LocallyConnected2D", (2, 3), strides=(1, 2))
connected("connected_1d_same", (7, 2), "LocallyConnected1D", 4, strides=2, padding="same")
connected("connected_2d_same", (5, 6, 2), "LocallyConnected2D", (2, 3), strides=(1, 2), padding="same", use_bias=False)


@recipe
def up_sampling_1d(keras: Any) -> Any:
    L = keras.layers
    return sequential(keras, (4, 2), L.Conv1D(3, 2), L.UpSampling1D(3), L.Conv1D(2, 2))


@recipe
def up_sampling_2d(keras: Any) -> Any:
    L = keras.layers
    return sequential(keras, (4, 3, 2), L.Conv2D(3, 2), L.UpSampling2D((3, 2)), L.Conv2D(2, 2))


@recipe
def up_sampling_2d_bilinear(keras: Any) -> Any:
    L = keras.layers
    layers = [L.UpSampling2D((2, 4), interpolation="bilinear"), L.UpSampling2D((3, 1), interpolation="bilinear")]
    return sequential(keras, (4, 3, 2), L.Conv2D(3, 2), *layers, L.Conv2D(2, 2))


@recipe
def up_sampling_3d(keras: Any) -> Any:
    L = keras.layers
    return sequential(keras, (3, 3, 2, 2), L.Conv3D(3, 2), L.UpSampling3D((3, 2, 1)), L.Conv3D(2, (2, 2, 1)))


@recipe
def repeated_vector(keras: Any) -> Any:
    L = keras.layers
    return sequential(keras, (4, 3, 2), L.Flatten(), L.RepeatVector(4), L.Conv1D(3, 2))


@recipe
def masking(keras: Any) -> Any:
    L = keras.layers
    # Where both features are cut to 0.5 there is something to mask; a mask of zeros changes no number.
    layers = [L.ReLU(max_value=0.5), L.Masking(0.5), L.Dense(2), L.ReLU(), L.Masking(), L.Conv1D(3, 2)]
    return sequential(keras, (40, 2), *layers)


@recipe
def open_length_same_strides(keras: Any) -> Any:
    L = keras.layers
    layers = [
        L.Conv1D(3, 4, strides=3, padding="same"), L.SeparableConv1D(4, 2, strides=2, padding="same"),
        L.MaxPooling1D(3, strides=1, padding="same"), L.AveragePooling1D(2, padding="same"),
        L.MaxPooling1D(2, padding="same"),
    ]  # fmt: skip
    return keras.Sequential([L.InputLayer((None, 2)), *layers, L.GlobalMaxPooling1D(), L.Dense(3)])


@recipe
def open_image_same_strides(keras: Any) -> Any:
    L = keras.layers
    layers = [
        L.Conv2D(3, (4, 2), strides=2, padding="same"), L.DepthwiseConv2D(2, strides=2, padding="same"),
        L.AveragePooling2D(2, padding="same"), L.MaxPooling2D(2, padding="same"),
    ]  # fmt: skip
    return keras.Sequential([L.InputLayer((None, None, 2)), *layers, L.GlobalAveragePooling2D(), L.Dense(3)])


@recipe
def open_volume_same_strides(keras: Any) -> Any:
    L = keras.layers
    layers = [
        L.Conv3D(3, 2, strides=2, padding="same"), L.AveragePooling3D(2, padding="same"),
        L.MaxPooling3D(2, padding="same"),
    ]  # fmt: skip
    return keras.Sequential([L.InputLayer((None, None, None, 2)), *layers, L.GlobalAveragePooling3D(), L.Dense(3)])


FIRST = {"data_format": "channels_first"}


@recipe
def first_images(keras: Any) -> Any:
    L = keras.layers
    x = L.Input((2, 9, 8))
    y = L.ZeroPadding2D(((1, 0), (0, 2)), **FIRST)(x)
    y = L.Conv2D(4, (3, 2), strides=2, padding="same", activation="relu", **FIRST)(y)
    z = L.BatchNormalization(axis=1)(L.DepthwiseConv2D(2, padding="same", use_bias=False, **FIRST)(y))
    y = L.Concatenate(axis=1)([L.Add()([y, L.ReLU()(z)]), L.SpatialDropout2D(0.2, **FIRST)(z)])
    y = L.PReLU(shared_axes=[2, 3])(L.MaxPooling2D(2, padding="same", **FIRST)(y))
    y = L.Conv2DTranspose(3, 3, strides=2, padding="same", **FIRST)(L.UpSampling2D((1, 2), **FIRST)(y))
    y = L.SeparableConv2D(3, 2, **FIRST)(L.Cropping2D(((0, 1), (1, 0)), **FIRST)(y))
    y = L.AveragePooling2D(2, strides=1, padding="same", **FIRST)(L.Activation("tanh")(y))
    return keras.Model(x, L.Dense(3, activation="softmax")(L.Flatten()(y)))


@recipe
def first_images_flattened_last(keras: Any) -> Any:
    L = keras.layers
    layers = [L.Conv2D(4, 3, **FIRST), L.UpSampling2D(2, interpolation="bilinear", **FIRST), L.Flatten(**FIRST)]
    return keras.Sequential([L.InputLayer((2, 5, 6)), *layers, L.BatchNormalization(), L.Dense(3)])


@recipe
def first_then_last(keras: Any) -> Any:
    L = keras.layers
    layers = [L.Conv2D(4, 3, **FIRST), L.Softmax(), L.Conv2D(5, 2), L.Permute((3, 1, 2)), L.MaxPooling2D(2, **FIRST)]
    return sequential(keras, (2, 7, 6), *layers, L.BatchNormalization(axis=[1, 2]), L.Dense(4), L.Reshape((-1,)))


@recipe
def first_series(keras: Any) -> Any:
    L = keras.layers
    layers = [
        L.Conv1D(4, 3, strides=2, padding="causal", **FIRST), L.MaxPooling1D(2, strides=1, padding="same", **FIRST),
        L.SeparableConv1D(4, 2, padding="same", **FIRST), L.DepthwiseConv1D(2, **FIRST),
        L.Conv1DTranspose(3, 3, strides=2, **FIRST), L.AveragePooling1D(2, padding="same", **FIRST),
        L.GlobalAveragePooling1D(**FIRST),
    ]  # fmt: skip
    return keras.Sequential([L.InputLayer((2, 17)), *layers, L.Dense(3)])


@recipe
def first_volumes(keras: Any) -> Any:
    L = keras.layers
    layers = [
        L.ZeroPadding3D(1, **FIRST), L.Conv3D(4, 2, strides=2, padding="same", **FIRST),
        L.UpSampling3D((1, 2, 1), **FIRST), L.MaxPooling3D(2, strides=1, padding="same", **FIRST),
        L.Conv3DTranspose(3, 2, **FIRST), L.Cropping3D(((0, 1), (0, 0), (1, 0)), **FIRST),
        L.AveragePooling3D(2, padding="same", **FIRST), L.GlobalMaxPooling3D(**FIRST),
    ]  # fmt: skip
    return keras.Sequential([L.InputLayer((2, 5, 4, 6)), *layers, L.Dense(3)])


@recipe
def first_global(keras: Any) -> Any:
    L = keras.layers
    layers = [L.Conv2D(4, 2, **FIRST), L.GlobalAveragePooling2D(keepdims=True, **FIRST), L.Flatten(), L.Dense(3)]
    return keras.Sequential([L.InputLayer((2, 5, 6)), *layers])


@recipe
def first_open_size(keras: Any) -> Any:
    L = keras.layers
    layers = [L.Conv2D(4, 3, strides=2, padding="same", **FIRST), L.MaxPooling2D(2, padding="same", **FIRST)]
    return keras.Sequential([L.InputLayer((2, None, None)), *layers, L.GlobalMaxPooling2D(**FIRST), L.Dense(3)])


connected("first_connected_1d", (2, 7), "LocallyConnected1D", 3, strides=2, **FIRST)
connected("first_connected_2d", (2, 5, 6), "LocallyConnected2D", (2, 3), strides=(1, 2), **FIRST)
connected("first_connected_2d_same", (2, 5, 6), "LocallyConnected2D", (2, 3), padding="same", **FIRST)


@recipe
def first_images_axis(keras: Any) -> Any:
    L = keras.layers
    layers = [L.Conv2D(5, 2, **FIRST), L.BatchNormalization(axis=1), L.AveragePooling2D(2, **FIRST)]
    return sequential(keras, (2, 6, 6), *layers)
