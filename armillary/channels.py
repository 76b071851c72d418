"""The channels that CMB networks take and give: one table, and the short words in which a user asks for them.

q, u are what is observed; k is the convergence; small e is the *unlensed* E and small b the *lensed* B without noise;
capital Q, U are the unlensed Stokes parameters, capital E, B the plain transform of what is observed.
"""

from typing import NamedTuple


class Channel(NamedTuple):
    """What a channel is: how it behaves under rotations and mirrors, and where it comes from."""

    unit: str
    symmetry: str  # "spin2": turns with its partner; "even" or "odd": a scalar that keeps or changes sign in a mirror
    source: str  # "observed", "truth", or "estimate": made from q and u by armillary.estimators
    meaning: str


CHANNELS = {
    "q": Channel("uK", "spin2", "observed", "Stokes Q, lensed, with beam and noise"),
    "u": Channel("uK", "spin2", "observed", "Stokes U, lensed, with beam and noise"),
    "Q": Channel("uK", "spin2", "truth", "unlensed Stokes Q"),
    "U": Channel("uK", "spin2", "truth", "unlensed Stokes U"),
    "e": Channel("uK", "even", "truth", "unlensed E"),
    "k": Channel("", "even", "truth", "lensing convergence"),
    "b": Channel("uK", "odd", "truth", "B made by lensing, without beam and noise"),
    "E": Channel("uK", "even", "estimate", "plain transform of q and u"),
    "B": Channel("uK", "odd", "estimate", "plain transform of q and u; leaks E at the edges of a cut sky"),
    "B_pure": Channel("uK", "odd", "estimate", "pure B of q and u, beam divided out"),
    "E_wiener": Channel("uK", "even", "estimate", "Wiener-filtered observed E"),
    "B_wiener": Channel("1/uK", "odd", "estimate", "inverse-variance weighted B"),
    "B_residual": Channel("1/uK", "odd", "estimate", "weighted B after the lensing template is taken off"),
    "k_qe_eb": Channel("", "even", "estimate", "quadratic estimator of k from E and B"),
    "k_qe_ee": Channel("", "even", "estimate", "quadratic estimator of k from E and E"),
    "k_qe_eb_ee": Channel("", "even", "estimate", "both quadratic estimators of k together"),
    "k_iqe_eb": Channel("", "even", "estimate", "quadratic estimator of k from E and delensed B, iterated"),
    "k_iqe_eb_ee": Channel("", "even", "estimate", "the same and pairs of E, iterated"),
    "k_map_eb": Channel("", "even", "estimate", "most likely k given E, from B, to first order"),
    "k_map_eb_ee": Channel("", "even", "estimate", "most likely k from B and from pairs of E, to first order"),
    "k_map_delensed": Channel("", "even", "estimate", "the same and what pairs of the delensed maps add"),
    "e_observed": Channel("uK", "even", "estimate", "observed E with a Wiener filter for unlensed E"),
    "e_delensed": Channel("uK", "even", "estimate", "E moved back by the most likely k"),
    "b_template": Channel("uK", "odd", "estimate", "lensing B from pure B and the gradient template"),
}
PARTNERS = {"q": "u", "u": "q", "Q": "U", "U": "Q"}
SIDE_MULTIPLE = {"hybrid": 8, "astroencoder": 4}  # pix2pix: a power of two
LEAST_SIDE = {"hybrid": 64, "astroencoder": 64, "pix2pix": 32}  # px, what one output sees
TARGETS = [name for name, channel in CHANNELS.items() if channel.source == "truth"]


def parse_channels(words: str | list[str], key: str) -> list[str]:
    """Channel names from a list, or from one letter a channel as in "quek"; ValueError for what the table lacks.

    A spin-2 channel needs its partner: a mirror or a quarter turn mixes the two.
    """
    names = list(words)
    unknown = [name for name in names if name not in CHANNELS]
    if unknown or not names:
        raise ValueError(
            f"cmb: {key} is {words!r}; {unknown[0] if unknown else 'nothing'!r} is no channel. "
            f"Known: {', '.join(CHANNELS)}"
        )
    if len(set(names)) < len(names):
        raise ValueError(f"cmb: {key} is {words!r}; a channel is named twice")
    lonely = [name for name in names if PARTNERS.get(name, name) not in names]
    if lonely:
        raise ValueError(f"cmb: {key} is {words!r}; {lonely[0]} needs {PARTNERS[lonely[0]]} beside it")
    return names


def check_experiment(name: str, settings: dict) -> tuple[list[str], list[str]]:
    """Inputs and outputs of an experiment; ValueError in one line for what makes no sense."""
    inputs = parse_channels(settings["inputs"], f"experiments: {name}: inputs")
    outputs = parse_channels(settings["outputs"], f"experiments: {name}: outputs")
    wrong = [channel for channel in outputs if CHANNELS[channel].source != "truth"]
    if wrong:
        raise ValueError(
            f"cmb: experiments: {name}: outputs has {wrong[0]}, which is no truth to learn; known: {', '.join(TARGETS)}"
        )
    twice = [channel for channel in outputs if channel in inputs]
    if twice:
        raise ValueError(f"cmb: experiments: {name}: {twice[0]} is both an input and an output")
    noisy = parse_channels(settings["noise_channels"], f"experiments: {name}: noise_channels")
    targets = [channel for channel in noisy if channel in outputs]
    if targets:
        raise ValueError(
            f"cmb: experiments: {name}: noise_channels has the target {targets[0]}; noise belongs on inputs"
        )
    if settings["noise_fraction"] > 0 and not set(noisy) <= set(inputs):
        raise ValueError(f"cmb: experiments: {name}: noise_channels {noisy} must be among the inputs {inputs}")
    return inputs, outputs


def check_side(architecture: str, side: int) -> None:
    """Refuse maps that a network cannot halve as often as it must, or that are smaller than what one output sees."""
    if architecture not in LEAST_SIDE:
        raise ValueError(f"cmb: architecture is {architecture!r}; known: {', '.join(LEAST_SIDE)}")
    multiple, least = SIDE_MULTIPLE.get(architecture), LEAST_SIDE[architecture]
    fits = side & (side - 1) == 0 if multiple is None else side % multiple == 0
    if not fits or side < least:
        rule = "a power of two" if multiple is None else f"a multiple of {multiple}"
        raise ValueError(
            f"cmb: skies: n_pixels is {side}; {architecture} needs {rule} and at least {least} px, its receptive field"
        )


def parse_devices(words: str | list[int]) -> list[int] | str:
    """ "auto", "cpu", GPU numbers as a list, or the digits of the source's flag: "12" means GPUs 1 and 2."""
    if words in ("auto", "cpu"):
        return words
    return [int(number) for number in words]
