"""The table of families: one member of each family of keras.applications, at the smallest picture that it takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from parity.errors import ParityError


@dataclass(frozen=True)
class Family:
    """One member of a family of keras.applications.

    Attributes
    ----------
    name : str
        The function that builds it.
    side : int
        Height and width of the pictures that it takes.
    module : str
        The module of keras.applications that has the function, where keras.applications itself has it not.
    preprocesses : bool
        Whether its preprocessing is inside of the network, so that it takes pixels from 0 to 255.
    asked : bool
        Whether the function has to be asked for that.
    """

    name: str
    side: int = 32
    module: str = ""
    preprocesses: bool = False
    asked: bool = True


_FAMILIES = (
    Family("VGG16"),
    Family("ResNet50"),
    Family("ResNet50V2"),
    Family("ResNetRS50", module="resnet_rs", preprocesses=True),
    Family("RegNetX002", module="regnet", preprocesses=True),
    Family("DenseNet121"),
    Family("InceptionV3", 75),
    Family("InceptionResNetV2", 75),
    Family("Xception", 71),
    Family("NASNetMobile"),
    Family("MobileNet"),
    Family("MobileNetV2"),
    Family("MobileNetV3Small", preprocesses=True),
    Family("EfficientNetB0", preprocesses=True, asked=False),
    Family("EfficientNetV2B0", preprocesses=True),
    Family("ConvNeXtTiny", module="convnext", preprocesses=True),
)
FAMILIES: Mapping[str, Family] = MappingProxyType({family.name: family for family in _FAMILIES})
"""All families by name."""
CLASSES = 10


def select(names: Sequence[str]) -> list[Family]:
    """Return the families of those names, all if none is given.

    Raises
    ------
    ParityError
        If there is no family of a name.
    """
    unknown = [name for name in names if name not in FAMILIES]
    if unknown:
        raise ParityError(f"no family is called {', '.join(unknown)}; known: {', '.join(FAMILIES)}")
    return [FAMILIES[name] for name in names] if names else list(_FAMILIES)
