"""From names on the command line to networks with their layers.

``vgg16`` is built in, ``torchvision:resnet18`` and ``timm:NAME`` are of libraries, ``module:name`` and ``file.py:name``
are users' own, and packages may register more. ``@LAYER+LAYER`` behind any of these chooses layers by name.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from dps.errors import UsageError, WeightsError, check_known, unknown
from dps.networks import built_in, libraries, user_networks
from dps.networks.built_in import BUILT_IN
from dps.networks.definitions import Network
from dps.networks.libraries import LIBRARIES
from dps.networks.trials import order
from dps.user_code import loading, reading
from dps.user_code.reading import TypedName, TypedValue

LAYERS = ("all", "each")
"""What ``--layers`` may be: a network as it is; or also each of its layers as a network of its own."""


def named(text: str, weights: str = "pypi") -> Network:
    """Return the network of a name; see `resolve`."""
    (network,) = resolve([text], weights=weights).values()
    return network


def resolve(texts: Sequence[str] = (), *, layers: str = "all", weights: str = "pypi") -> dict[str, Network]:
    """Return all networks of a run by name, those of one backbone together.

    Args:
        texts: names, each a list with commas; none for the built-in networks.
        layers: one of `LAYERS`.
        weights: where pretrained weights are from: ``pypi``, ``torchvision``, or a folder.

    Raises:
        UsageError: there is no such network or layer, or its library is not installed.
        WeightsError: pretrained weights are missing or altered.
        NetworkError: a user's network returns something else than feature maps.
    """
    check_known("choice of layers", layers, LAYERS)
    backbones: dict[str, Network] = {}
    networks: dict[str, Network] = {}
    values = _read(texts or list(BUILT_IN))
    files = reading.shortened(value.names[0].path for value in values if value.names[0].path is not None)
    for value in values:
        typed = value.names[0]
        name = typed.short(files)
        if name not in backbones:
            backbones[name] = _backbone(typed, name, weights)
        chosen = _with_layers(backbones[name], _layer_names(value))
        networks[chosen.name] = chosen
        if layers == "each":
            networks |= {each.name: each for each in (_with_layers(chosen, (layer,)) for layer in chosen.layers)}
    return {name: networks[name] for backbone in backbones for name in networks if networks[name].backbone == backbone}


def runs_code(name: str) -> bool:
    """Return whether a network's name stands for code of somebody's, which looking it up runs."""
    return name.partition("@")[0] not in BUILT_IN and name.partition(":")[0] not in LIBRARIES


def described(text: str, weights: str = "pypi") -> tuple[Network, str]:
    """Return the network of a name, maybe without layers, and why its pretrained weights cannot be had, or "".

    Raises:
        UsageError, NetworkError: as `resolve`.
    """
    (value,) = _read([text])
    typed, missing = value.names[0], ""
    name = typed.short(reading.shortened([] if typed.path is None else [typed.path]))
    try:
        network = _backbone(typed, name, weights)
    except WeightsError as error:
        library, _, rest = name.partition(":")
        network = LIBRARIES[library](rest)[0] if library in LIBRARIES else built_in.described(name)
        missing = str(error)
    names = _layer_names(value)
    return _with_layers(network, names) if names else network, missing


def listed() -> Iterator[tuple[str, str]]:
    """Yield every name, and in one line what it is or needs."""
    for name, network in BUILT_IN.items():
        yield name, f"Built in, with ImageNet weights; layers {', '.join(network.layers)}."
    yield "torchvision:NAME[.WEIGHTS]", "Any classifier of torchvision, with its own download of the weights."
    yield "timm:NAME[.TAG]", f"Any network of timm, with its own download. {libraries.needed_for_timm()}".strip()
    yield from loading.listed("network")
    yield "module:name, file.py:name", "Your own: a module that returns feature maps, a dps.Network, or a factory."
    yield "NAME@LAYER+LAYER", "Some layers of any of these, by name: see dps networks NAME."


def _read(texts: Sequence[str]) -> list[TypedValue]:
    return [value for text in texts for value in reading.read(text, "network", _is_name)]


def _is_name(name: str) -> bool:
    """Return whether text is a complete name, other than that of a file."""
    return name in BUILT_IN or name in loading.registered("network") or bool(_IN_MODULE.fullmatch(name))


_IN_MODULE = re.compile(r"(?!.*\.py:)[^\W\d][\w.]*:[^\W\d][\w.]*")
"""A library's or module's."""


def _layer_names(value: TypedValue) -> tuple[str, ...]:
    names = () if value.layers is None else tuple(dict.fromkeys(n.strip() for n in value.layers.split("+")))
    if "" in names:
        raise UsageError(f"network {value.text!r}: a layer is missing; write them as in vgg16@features.15+features.22.")
    return names


def _backbone(typed: TypedName, name: str, weights: str) -> Network:
    library, _, rest = name.partition(":")
    if typed.path is None and library in LIBRARIES:
        return libraries.named(library, rest, weights)
    if name in BUILT_IN:
        return built_in.named(name, weights)
    if not loading.is_user_defined(typed, "network"):
        known = [*BUILT_IN, *loading.registered("network"), "torchvision:NAME", "timm:NAME", "file.py:name"]
        raise UsageError(unknown("network", name, known))
    return user_networks.load(typed, name)


def _with_layers(network: Network, names: tuple[str, ...]) -> Network:
    """Return a network with some of its layers, in the order in which they run; without names, with its own.

    Raises:
        UsageError: there is no such layer; or there are no layers of its own.
    """
    names = names or network.layers
    if not names and not network.user_defined:
        raise UsageError(
            f"network {network.name!r}: its library lists no layers that are feature maps, so name some: "
            f"{network.name}@LAYER+LAYER. They are shown by: dps networks {network.name}"
        )
    if not names:
        raise UsageError(
            f"network {network.name!r} returns one tensor, so name its layers: {network.name}@LAYER+LAYER, each a "
            "module by its name; or return a list or dict of feature maps."
        )
    layers = tuple(layer.name for layer in order(network, names))
    if layers == network.layers:
        return network
    return replace(network, name=f"{network.backbone}@{'+'.join(layers)}", layers=layers)
