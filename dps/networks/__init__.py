"""Networks: images in, one feature map per layer out.

definitions.py        the definition of a network
built_in.py           the built-in networks
efficientnet_lite.py  the modules of EfficientNet-Lite0, which torchvision lacks
conversion.py         weights of other frameworks in the layout of PyTorch
libraries.py          networks of torchvision and timm
user_networks.py      user-defined networks
names.py              from names to networks with their layers
forward.py            one forward pass with a hook on each layer
trials.py             trial runs, to find layers and accepted image sizes
extractor.py          from images to features
"""

from dps.networks.built_in import BUILT_IN
from dps.networks.definitions import Network
from dps.networks.extractor import Extractor, check_images
from dps.networks.names import describe, list_names, named, resolve, runs_code
from dps.networks.trials import check_size

__all__ = [
    "BUILT_IN",
    "Extractor",
    "Network",
    "check_images",
    "check_size",
    "describe",
    "list_names",
    "named",
    "resolve",
    "runs_code",
]
