"""The networks whose features are compared: images in, one feature map per layer out.

definitions.py        what a network is
built_in.py           the built-in networks
efficientnet_lite.py  the modules of one of them, which torchvision does not have
conversion.py         weights of other frameworks, as PyTorch's modules have them
libraries.py          networks of torchvision and timm
user_networks.py      users' networks
names.py              from names to networks with their layers
forward.py            one call of a network, whose layers are handed out by hooks
trials.py             which layers a network has, and which sizes of images it takes
extractor.py          from images to features
"""

from dps.networks.built_in import BUILT_IN
from dps.networks.definitions import Network
from dps.networks.extractor import Extractor, check_images
from dps.networks.names import described, listed, named, resolve, runs_code
from dps.networks.trials import check_size

__all__ = [
    "BUILT_IN",
    "Extractor",
    "Network",
    "check_images",
    "check_size",
    "described",
    "listed",
    "named",
    "resolve",
    "runs_code",
]
