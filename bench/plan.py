"""What a run measures: cases as data, made from a few tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.contenders.everyone import CAPTUM, EXPLAINER, PORT, REFERENCE, UNIT, ZENNIT
from bench.networks import ECG, STACK, VISION

VGG16 = "vgg16-seeded"
"""The network of the acceptance limits."""
MNIST = "vgg_mnist"
DETERMINISTIC = (
    "gradient", "lrp_z", "lrp_epsilon_0_1", "lrp_epsilon_0_25_std_x", "lrpsign_epsilon_0_1", "lrp_flat",
    "lrp_w_square", "lrp_alpha_1_beta_0", "lrp_alpha_2_beta_1", "lrp_sequential_composite_a",
    "lrp_sequential_composite_b",
)  # fmt: skip
SAMPLING = ("smoothgrad", "integrated_gradients")
METHODS = (*DETERMINISTIC, *SAMPLING)
GROWTH = ("gradient", "lrp_epsilon_0_1", "lrp_alpha_1_beta_0")
"""The methods whose growth with image side and batch is followed."""
BATCHES = (1, 4, 16)
SMALL = (MNIST, ECG)
"""Networks on which a call is over in milliseconds, and what it costs besides its arithmetic counts."""
SMALL_BATCHES = (1, 16, 64)
SIDES = (112, 224, 448)
QUICK_ON_VGG16 = ("lrp_epsilon_0_1", "lrp_flat", "lrp_alpha_1_beta_0")

SMALL_ROUNDS, LARGE_ROUNDS = 15, 5
SAMPLING_ROUNDS = 5
SWEEP_ROUNDS = {"explain_many": 5, "explain": 1}
"""Rounds of a sweep. Single calls, ours and the reference's, are taken once each: their sum is that of many calls."""


@dataclass(frozen=True)
class Case:
    """One call that is timed: a contender's method on a batch, in some rounds, each beside one of the unit."""

    network: str
    batch: int
    side: int | None
    method: str
    contender: str
    rounds: int

    @property
    def name(self) -> str:
        """What progress and the harness call it."""
        side = f"-{self.side}" if self.side else ""
        return f"{self.network}{side}-batch_{self.batch}-{self.method}-{self.contender}"


@dataclass(frozen=True)
class Sweep:
    """Many methods of one network: how a contender takes them all.

    `names` says which: "lrp" (every listed LRP name, all deterministic) or "all" (every listed name that the
    reference has). `how` is "explain_many", "explain" (one call per name) or "tensorflow" (one call per name).
    """

    network: str
    names: str
    how: str
    rounds: int

    @property
    def name(self) -> str:
        """What progress and the harness call it."""
        return f"{self.network}-{self.names}-{self.how}"


@dataclass(frozen=True)
class Memory:
    """One call whose peak memory is measured, in a process of its own."""

    network: str
    batch: int
    method: str
    contender: str

    @property
    def name(self) -> str:
        """What progress calls it."""
        return f"{self.network}-batch_{self.batch}-{self.method}-{self.contender}"


@dataclass(frozen=True)
class Wish:
    """What the command line asks for; None stands for the usual.

    Attributes
    ----------
    networks, methods : tuple of str, or None
        Instead of the usual ones; with these, no growth and no sweeps beyond those of the networks named.
    quick : bool
        Everything on the small network, a little of VGG16.
    rounds : int or None
        Rounds of every call.
    stored_total : bool
        Whether the reference's seconds for all names are looked up in the store, instead of being measured. They were
        taken while the port worked beside it, so they are longer.
    """

    networks: tuple[str, ...] | None = None
    methods: tuple[str, ...] | None = None
    quick: bool = False
    rounds: int | None = None
    stored_total: bool = False


@dataclass(frozen=True)
class Plan:
    """What a run measures, in this order."""

    cases: tuple[Case, ...]
    sweeps: tuple[Sweep, ...] = ()
    memory: tuple[Memory, ...] = ()
    networks: tuple[str, ...] = field(default=())


def make_plan(wish: Wish) -> Plan:
    """Return the plan that a wish comes to."""
    networks = wish.networks or (*SMALL, *(() if wish.quick else VISION), VGG16)
    cases = [case for name in networks for case in _cases(name, wish)]
    if not wish.networks and not wish.quick:
        methods = [one for one in GROWTH if one in (wish.methods or GROWTH)]
        cases += [case for side in SIDES for case in _group(STACK, 1, side, methods, (PORT,), wish)]
    # Networks that exist in torch alone say nothing of the names that the reference has.
    both = [name for name in networks if name not in (ECG, *VISION)]
    sweeps = [sweep for name in both for sweep in _sweeps(name, wish)] if not wish.methods else []
    memory = [one for name in both for one in _memory(name, wish)]
    measured = dict.fromkeys([*networks, *(case.network for case in cases)])
    return Plan(tuple(cases), tuple(sweeps), tuple(memory), tuple(measured))


def is_large(network: str) -> bool:
    """Whether a network is measured in few rounds: those for photos are; a user's own is taken for small."""
    return network.startswith(("vgg16", "vgg19")) or network in VISION


def _methods(network: str, wish: Wish) -> Sequence[str]:
    if wish.methods:
        return wish.methods
    return QUICK_ON_VGG16 if wish.quick and is_large(network) else METHODS


def _cases(network: str, wish: Wish) -> Iterator[Case]:
    contenders = (PORT, ZENNIT, CAPTUM, REFERENCE)
    methods = _methods(network, wish)
    if network in VISION:  # their branches are no plain stack, which stock rules are made for
        followed = methods if wish.methods else GROWTH
        for batch in BATCHES[::2]:
            yield from _group(network, batch, None, followed, (PORT, EXPLAINER), wish)
        return
    if is_large(network):
        few = (PORT,) if wish.quick and not wish.methods else contenders
        yield from _group(network, 1, None, methods, few, wish)
        if not wish.quick:
            for batch in BATCHES[1:]:
                yield from _group(network, batch, None, [one for one in GROWTH if one in methods], (PORT,), wish)
        return
    alone = (PORT, EXPLAINER, ZENNIT, CAPTUM)
    for batch in SMALL_BATCHES if not wish.quick else SMALL_BATCHES[::2]:
        # The reference explains one sample at a time, so larger batches say nothing new of it.
        with_reference = batch == 1 and network != ECG
        yield from _group(network, batch, None, methods, (*alone, REFERENCE) if with_reference else alone, wish)


def _group(
    network: str, batch: int, side: int | None, methods: Sequence[str], contenders: Sequence[str], wish: Wish
) -> Iterator[Case]:
    """Yield the unit, then each method with all contenders side by side."""
    usual = LARGE_ROUNDS if is_large(network) else SMALL_ROUNDS
    yield Case(network, batch, side, "gradient", UNIT, wish.rounds or usual)
    for method in methods:
        rounds = wish.rounds or (SAMPLING_ROUNDS if method in SAMPLING else usual)
        for contender in contenders:
            yield Case(network, batch, side, method, contender, rounds)


def _sweeps(network: str, wish: Wish) -> Iterator[Sweep]:
    if wish.quick and is_large(network):
        return
    rounds = {how: wish.rounds or (1 if wish.quick else usual) for how, usual in SWEEP_ROUNDS.items()}
    for how in SWEEP_ROUNDS:
        yield Sweep(network, "lrp", how, rounds[how])
    if wish.quick:
        return
    yield Sweep(network, "all", "explain_many", rounds["explain_many"])
    if not wish.stored_total:
        for names in ("lrp", "all"):
            yield Sweep(network, names, REFERENCE, 1)


def _memory(network: str, wish: Wish) -> Iterator[Memory]:
    # Only the large networks' peaks are the methods' own: on a small one they are the libraries', so the port is
    # measured there alone, and not at all in a quick run.
    large = is_large(network)
    if wish.quick and not large:
        return
    yield Memory(network, 1, "gradient", UNIT)
    for method in _methods(network, wish):
        others = (ZENNIT, CAPTUM, REFERENCE) if large and method in DETERMINISTIC and not wish.quick else ()
        for contender in (PORT, *others):
            yield Memory(network, 1, method, contender)
