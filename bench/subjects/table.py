"""The table of ports that are compared, with how each is set up, and the models that they are compared on."""

from __future__ import annotations

from dataclasses import dataclass

from parity.errors import ParityError


@dataclass(frozen=True)
class Port:
    """An implementation that is compared.

    Attributes
    ----------
    name : str
        Of the subject, see `parity.run.subjects`.
    package : str
        What it is installed from.
    configuration : str
        How it is set up, in a sentence; the module says all.
    module : str
        The file that calls it, from the root of the repository.
    """

    name: str
    package: str
    configuration: str
    module: str


_FOLDER = "parity/run/subjects"
PORTS = (
    Port(
        "signxai_torch", "this repository", "`explain_many` with the method's name and nothing else.",
        f"{_FOLDER}/signxai_torch.py",
    ),
    Port(
        "zennit", "zennit",
        "Its rules, composites and attributors; stabilizers of 1e-30, batch normalizations merged by its own canonizer "
        "where they can be, relevance started from the logit where the original does.",
        f"{_FOLDER}/zennit.py",
    ),
    Port(
        "captum", "captum",
        "Its attribution classes; LRP with the method's rule on every convolution and dense layer and `EpsilonRule` on "
        "all others, stabilizers of 1e-30; maps multiplied by the logit where the original starts from it.",
        f"{_FOLDER}/captum.py",
    ),
    Port(
        "pytorch_grad_cam", "grad-cam",
        "`GradCAM` at the layer that the case names, times 255; `GuidedBackpropReLUModel` times the logit.",
        f"{_FOLDER}/pytorch_grad_cam.py",
    ),
    Port(
        "signxai2", "signxai2", "The wrapper of the method's own name, with the case's class.",
        f"{_FOLDER}/signxai2.py",
    ),
    Port(
        "numpy_lrp", "this repository", "LRP as the papers write it, in NumPy, without any library for it.",
        f"{_FOLDER}/numpy_lrp.py",
    ),
)  # fmt: skip
SHIPPED = ("vgg_mnist", "dense_mnist", "resnet_mnist", "cnn_timeseries")
"""The models that lie in this repository."""
REAL = ("ecg_cnn_5s", "ina_gender")
"""Names of `bench/real/models.py`: trained by other people."""


def select_ports(names: tuple[str, ...]) -> list[Port]:
    """Return the ports of these names, all for none.

    Raises
    ------
    ParityError
        Naming one that there is not.
    """
    by_name = {port.name: port for port in PORTS}
    for name in names:
        if name not in by_name:
            raise ParityError(f"there is no port {name!r}; there are {', '.join(by_name)}")
    return [by_name[name] for name in names] if names else list(PORTS)


def select_models(names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the shipped and the real models of these names, all for none.

    Raises
    ------
    ParityError
        Naming one that there is not.
    """
    for name in names:
        if name not in (*SHIPPED, *REAL):
            raise ParityError(f"there is no model {name!r} here; there are {', '.join((*SHIPPED, *REAL))}")
    chosen = names or (*SHIPPED, *REAL)
    return [name for name in SHIPPED if name in chosen], [name for name in REAL if name in chosen]
