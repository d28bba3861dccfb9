"""From names on the command line to networks with their layers.

``vgg16`` is built in, ``torchvision:resnet18`` and ``timm:NAME`` belong to libraries, ``module:name`` and
``file.py:name`` are user-defined, and packages may register more. A suffix ``@LAYER+LAYER`` selects layers by name.
"""

import importlib.util
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from dps.errors import UsageError, WeightsError, check_known, unknown
from dps.networks import built_in, libraries, user_networks
from dps.networks.built_in import BUILT_IN
from dps.networks.definitions import Network
from dps.networks.libraries import LIBRARIES
from dps.networks.trials import find_layers
from dps.user_code import loading, reading
from dps.user_code.reading import TypedName, TypedValue

LAYERS = ("all", "each")
"""Values of ``--layers``; ``each`` adds a network for each single layer."""


def named(text: str, weights: str = "pypi") -> Network:
    """Return the network of one name; see `resolve`."""
    (network,) = resolve([text], weights=weights).values()
    return network


def resolve(texts: Sequence[str] = (), *, layers: str = "all", weights: str = "pypi") -> dict[str, Network]:
    """Return all networks of a run by name, grouped by backbone.

    Args:
        texts: comma-separated names; empty for the built-in networks.
        layers: one of `LAYERS`.
        weights: source of pretrained weights: ``pypi``, ``torchvision``, or a folder.

    Raises:
        UsageError: there is no such network or layer, or its library is not installed.
        WeightsError: pretrained weights are missing or altered.
        NetworkError: the output of a user-defined network is not feature maps.
    """
    check_known("choice of layers", layers, LAYERS)
    backbones: dict[str, Network] = {}
    networks: dict[str, Network] = {}
    values = _read(texts or list(BUILT_IN))
    files = reading.shorten(value.names[0].path for value in values if value.names[0].path is not None)
    for value in values:
        typed = value.names[0]
        name = typed.short(files)
        if name not in backbones:
            backbones[name] = _backbone(typed, name, weights)
        network = _with_layers(backbones[name], _layer_names(value))
        networks[network.name] = network
        for layer in network.layers if layers == "each" else ():
            single = _with_layers(network, (layer,))
            networks[single.name] = single
    return {name: networks[name] for backbone in backbones for name in networks if networks[name].backbone == backbone}


def runs_code(name: str) -> bool:
    """Return whether resolving a network's name runs user-defined code."""
    return name.partition("@")[0] not in BUILT_IN and name.partition(":")[0] not in LIBRARIES


def describe(text: str, weights: str = "pypi") -> tuple[Network, str]:
    """Return the network of a name, possibly without layers or weights, and the reason if the weights are missing.

    Raises:
        UsageError, NetworkError: as for `resolve`.
    """
    (value,) = _read([text])
    typed, reason = value.names[0], ""
    name = typed.short(reading.shorten([] if typed.path is None else [typed.path]))
    try:
        network = _backbone(typed, name, weights)
    except WeightsError as error:
        library, _, rest = name.partition(":")
        network = LIBRARIES[library](rest)[0] if library in LIBRARIES else built_in.without_weights(name)
        reason = str(error)
    names = _layer_names(value)
    return _with_layers(network, names) if names else network, reason


def list_names() -> Iterator[tuple[str, str]]:
    """Yield the names of all networks, each with a one-line description."""
    for name, network in BUILT_IN.items():
        yield name, f"Built in, with ImageNet weights; layers {', '.join(network.layers)}."
    yield "torchvision:NAME[.WEIGHTS]", "Any classifier of torchvision, with its own download of the weights."
    remedy = "" if importlib.util.find_spec("timm") else f" Not installed: {libraries.INSTALL_TIMM}"
    yield "timm:NAME[.TAG]", f"Any network of timm, with its own download.{remedy}"
    yield from loading.list_names("network")
    yield "module:name, file.py:name", "User-defined: a module that returns feature maps, a dps.Network, or a factory."
    yield "NAME@LAYER+LAYER", "Any of these with selected layers; to list them: dps networks NAME."


def _read(texts: Sequence[str]) -> list[TypedValue]:
    return [value for text in texts for value in reading.read(text, "network", _is_name)]


def _is_name(name: str) -> bool:
    """Return whether a text is the complete name of a network that is not in a file."""
    return name in BUILT_IN or name in loading.registered("network") or bool(_IN_MODULE.fullmatch(name))


_IN_MODULE = re.compile(r"(?!.*\.py:)[^\W\d][\w.]*:[^\W\d][\w.]*")
"""A name in a library or module."""


def _layer_names(value: TypedValue) -> tuple[str, ...]:
    if value.layers is None:
        return ()
    names = tuple(dict.fromkeys(name.strip() for name in value.layers.split("+")))
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
    """Return a network with the named layers in execution order; without names, with its default layers.

    Raises:
        UsageError: there is no such layer, or there are no default layers.
    """
    names = names or network.layers
    if not names and not network.user_defined:
        raise UsageError(
            f"network {network.name!r}: its library lists no layers that are feature maps, so name some: "
            f"{network.name}@LAYER+LAYER. To list them: dps networks {network.name}"
        )
    if not names:
        raise UsageError(
            f"network {network.name!r} returns one tensor, so name its layers, which are modules: "
            f"{network.name}@LAYER+LAYER; or return a list or dict of feature maps."
        )
    layers = tuple(layer.name for layer in find_layers(network, names))
    if layers == network.layers:
        return network
    return replace(network, name=f"{network.backbone}@{'+'.join(layers)}", layers=layers)
