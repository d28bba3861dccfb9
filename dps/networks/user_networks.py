"""User-defined networks: loaded from a module, a file or a package that registers them, and called once."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from dps.errors import UsageError, one_line
from dps.networks.definitions import Network, tensors_of
from dps.networks.forward import by_name
from dps.networks.trials import usual_sizes
from dps.user_code import guest, loading
from dps.user_code.reading import TypedName

RULE = (
    "it must be a torch.nn.Module that returns a list or dict of feature maps, any other torch.nn.Module with layers "
    "after @, a dps.Network, or a function without required arguments that returns one of these"
)


def load(typed: TypedName, name: str) -> Network:
    """Load a user-defined network, constructed if it is a class or factory; see `loading.load`.

    Raises:
        UsageError: it does not exist, cannot be loaded, or is not a network.
    """
    value: Any = loading.load(typed, "network", name)
    if callable(value) and not isinstance(value, nn.Module | Network):
        value = loading.construct(value, "network", name)
    if isinstance(value, nn.Module):
        value = Network(features=value)
    if not isinstance(value, Network):
        raise UsageError(f"network {name!r}: {type(value).__name__} is not a network; {RULE}.")
    if isinstance(value.features, nn.Module):
        value.features.eval()
    return _with_returned_layers(replace(value, name=name, weights=None, make=None, user_defined=True))


def _with_returned_layers(network: Network) -> Network:
    """Call a network once; if it returns a list or dict without naming layers, its items are the layers."""
    tensors = tensors_of(network.features)
    for name, tensor in tensors.items():
        if tensor.is_meta:
            raise UsageError(
                f"network {network.name!r}: {name} is on the meta device, without values; load its weights."
            )
    device, reason = next((tensor.device for tensor in tensors.values()), "cpu"), ""
    for size in usual_sizes(network):
        try:
            with guest.visit(), torch.no_grad():
                output = network.features(torch.zeros(1, 3, size, size, device=device))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - it is a user's code
            reason = reason or f" ({one_line(error)} for images of {size} x {size} pixels)"
            continue
        if maps := by_name(output):
            return replace(network, returned=tuple(maps), layers=network.layers or tuple(maps))
        empty = "an empty " if isinstance(output, Mapping | list | tuple) else ""
        if isinstance(network.features, nn.Module) and not empty:
            return network
        reason = f": it returns {empty}{type(output).__name__}, not a list or dict of feature maps"
        break
    raise UsageError(f"network {network.name!r} cannot be used{reason}; {RULE}.")
