"""The published composite factories with a rule of its own for the input layer: SIGN, Z or w-square.

`signxai_torch.published.factories` says what a factory returns and holds the others.
"""

from __future__ import annotations

from signxai_torch.lrp.rules import Epsilon, WSquare, Z
from signxai_torch.published.composite import ModelComposite, composite_of, sequential
from signxai_torch.published.hooks import sign_rule, stabilized


def lrpsign_epsilon(
    epsilon: float = 0.0, stdfactor: float = 0.0, mu: float = 0.0, input_layer_rule: str = "sign"
) -> ModelComposite:
    """Return SIGN at the input layer, a stabilized rule elsewhere: method ``lrpsign_epsilon_E``.

    Parameters
    ----------
    epsilon : float
        Stabilizer; 0 leaves the Z rule (method ``lrpsign_z``).
    stdfactor : float
        Greater than 0: ``stdfactor * std(x)`` takes the place of epsilon (``lrpsign_epsilon_S_std_x``).
    mu : float
        Threshold of the rule "sign_mu" (``..._mu_M``).
    input_layer_rule : str
        "sign" or "sign_mu".

    Returns
    -------
    ModelComposite
        A composite for zennit.

    Raises
    ------
    ValueError
        If the rule is unknown, epsilon or stdfactor is negative, or "sign" is given a threshold.
    """
    return composite_of(stabilized(epsilon, stdfactor), sign_rule(input_layer_rule, mu))


def lrpsign_epsilon_mu(epsilon: float = 0.0, mu: float = 0.0) -> ModelComposite:
    """Return SIGN with a threshold at the input layer, epsilon elsewhere: method ``lrpsign_epsilon_E_mu_M``.

    Parameters
    ----------
    epsilon : float
        Stabilizer of the denominators, in the units of the activations.
    mu : float
        Threshold in the units of the input: the sign is +1 where x >= mu.

    Returns
    -------
    ModelComposite
        A composite for zennit.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    return lrpsign_epsilon(epsilon, 0.0, mu, "sign_mu")


def lrpsign_epsilon_std_x(epsilon: float = 0.0, stdfactor: float = 0.0) -> ModelComposite:
    """Return SIGN at the input layer, std-x epsilon elsewhere: method ``lrpsign_epsilon_S_std_x``.

    See `lrpsign_epsilon` for what becomes of epsilon.

    Parameters
    ----------
    epsilon : float
        Stabilizer of the denominators, in the units of the activations.
    stdfactor : float
        Factor of the standard deviation of each layer's input; 0 leaves `epsilon`.

    Returns
    -------
    ModelComposite
        A composite for zennit.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    return lrpsign_epsilon(epsilon, stdfactor)


def lrpsign_epsilon_std_x_mu(epsilon: float = 0.0, stdfactor: float = 0.0, mu: float = 0.0) -> ModelComposite:
    """Return SIGN with a threshold, std-x epsilon elsewhere: method ``lrpsign_epsilon_S_std_x_mu_M``.

    See `lrpsign_epsilon` for what becomes of epsilon.

    Parameters
    ----------
    epsilon : float
        Stabilizer of the denominators, in the units of the activations.
    stdfactor : float
        Factor of the standard deviation of each layer's input; 0 leaves `epsilon`.
    mu : float
        Threshold in the units of the input: the sign is +1 where x >= mu.

    Returns
    -------
    ModelComposite
        A composite for zennit.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    return lrpsign_epsilon(epsilon, stdfactor, mu, "sign_mu")


def lrpz_epsilon(epsilon: float = 0.1) -> ModelComposite:
    """Return Z at the input layer, epsilon elsewhere: method ``lrpz_epsilon_E``.

    Parameters
    ----------
    epsilon : float
        Stabilizer of the denominators, in the units of the activations.

    Returns
    -------
    ModelComposite
        A composite for zennit.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    return composite_of(Epsilon(epsilon), Z())


def lrpz_stdx_epsilon(epsilon: float = 0.1, stdfactor: float = 0.0) -> ModelComposite:
    """Return Z at the input layer, std-x epsilon elsewhere: method ``lrpz_epsilon_S_std_x``.

    With stdfactor 0, the published default, epsilon is the stabilizer: method ``lrpz_epsilon_E``.

    Parameters
    ----------
    epsilon : float
        Stabilizer of the denominators, in the units of the activations.
    stdfactor : float
        Factor of the standard deviation of each layer's input; 0 leaves `epsilon`.

    Returns
    -------
    ModelComposite
        A composite for zennit.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    return composite_of(stabilized(epsilon, stdfactor), Z())


def lrpz_sequential_composite_a(epsilon: float = 0.1) -> ModelComposite:
    """Return Z, alpha 1 beta 0 and epsilon: method ``lrpz_sequential_composite_a``.

    Parameters
    ----------
    epsilon : float
        Stabilizer of the denominators, in the units of the activations.

    Returns
    -------
    ModelComposite
        A composite for zennit.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    return sequential(Z(), epsilon, 1.0, 0.0)


def lrpz_sequential_composite_b(epsilon: float = 0.1) -> ModelComposite:
    """Return Z, alpha 2 beta 1 and epsilon: method ``lrpz_sequential_composite_b``.

    Parameters
    ----------
    epsilon : float
        Stabilizer of the denominators, in the units of the activations.

    Returns
    -------
    ModelComposite
        A composite for zennit.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    return sequential(Z(), epsilon, 2.0, 1.0)


def w2lrp_epsilon(epsilon: float = 0.1) -> ModelComposite:
    """Return w-square at the input layer, epsilon elsewhere: method ``w2lrp_epsilon_E``.

    Parameters
    ----------
    epsilon : float
        Stabilizer of the denominators, in the units of the activations.

    Returns
    -------
    ModelComposite
        A composite for zennit.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    return composite_of(Epsilon(epsilon), WSquare())


def w2lrp_stdx_epsilon(epsilon: float = 0.1, stdfactor: float = 0.0) -> ModelComposite:
    """Return w-square at the input layer, std-x epsilon elsewhere: method ``w2lrp_epsilon_S_std_x``.

    With stdfactor 0, the published default, epsilon is the stabilizer: method ``w2lrp_epsilon_E``.

    Parameters
    ----------
    epsilon : float
        Stabilizer of the denominators, in the units of the activations.
    stdfactor : float
        Factor of the standard deviation of each layer's input; 0 leaves `epsilon`.

    Returns
    -------
    ModelComposite
        A composite for zennit.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    return composite_of(stabilized(epsilon, stdfactor), WSquare())


def w2lrp_sequential_composite_a(epsilon: float = 0.1) -> ModelComposite:
    """Return w-square, alpha 1 beta 0 and epsilon: method ``w2lrp_sequential_composite_a``.

    Parameters
    ----------
    epsilon : float
        Stabilizer of the denominators, in the units of the activations.

    Returns
    -------
    ModelComposite
        A composite for zennit.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    return sequential(WSquare(), epsilon, 1.0, 0.0)


def w2lrp_sequential_composite_b(epsilon: float = 0.1) -> ModelComposite:
    """Return w-square, alpha 2 beta 1 and epsilon: method ``w2lrp_sequential_composite_b``.

    Parameters
    ----------
    epsilon : float
        Stabilizer of the denominators, in the units of the activations.

    Returns
    -------
    ModelComposite
        A composite for zennit.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    return sequential(WSquare(), epsilon, 2.0, 1.0)


w2lrp_composite_a = w2lrp_sequential_composite_a
