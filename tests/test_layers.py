"""Layers alone: counts and sentences worked out by hand."""

from collections.abc import Sequence
from typing import Any

import pytest

from dps.report import layers, pass_fractions
from dps.report.tables import Cell, Table
from dps.rows import Row
from tests.rows import PIXEL, UNMEASURED, row

NETWORKS = {"alexnet": {"layers": ["first", "second", "third"]}, "vgg16": {"layers": ["a", "b"]}}


def rows(probe: str, *verdicts: str, **names: Any) -> list[Row]:
    """A case for each text: verdicts of the metric and each layer, ``"- +-+"``; ``?``: not measured, no weight."""
    made = []
    for number, text in enumerate(verdicts):
        margin = {"+": 0.5, "-": -0.5, "?": None}[text[0]]
        alone = {"passed_by_layer": [{"+": True, "-": False}.get(sign) for sign in text[2:]]} if len(text) > 2 else {}
        made.append(
            row(margin, probe=probe, case=f"case-{number}", **alone, **names, **(UNMEASURED if text[0] == "?" else {}))
        )
    return made


def tables_of(*cases: Row) -> list[Table]:
    return layers.tables({"run": {"networks": NETWORKS}, "cases": cases})


def networks_of(cases: Sequence[Row]) -> Row:
    """Name the layers of each network of a run by their number."""
    sizes = {case["network"]: len(case["passed_by_layer"]) for case in cases if "passed_by_layer" in case}
    return {"networks": {name: {"layers": [*map(str, range(size))], "remark": ""} for name, size in sizes.items()}}


def words_of(*cases: Row) -> list[str]:
    return layers.as_sentences({"run": networks_of(cases), "cases": cases}, pass_fractions.count(cases))


def test_a_layer_without_weight_is_not_counted_and_keeps_the_numbers_of_the_others() -> None:
    cases = rows("translate", "- ?+-", "- ?+-", "- ?--")
    (table,) = tables_of(*cases)
    assert [key[2] for key in table.rows] == ["2 second", "3 third", "all"]
    (sentence,) = words_of(*rows("translate", "- ?-+", "- ?-+", "- ?-+"))
    assert "layer 3 alone would pass 3/3 of translate" in sentence


def test_a_table_by_hand() -> None:
    (table,) = tables_of(
        *rows("translate", "- +-+", "+ +-+", "- ---"),  # layers 2, 0 and 2 of 3
        *rows("invert", "+ +++", "? +++", "- -++"),  # 1, 2 and 2 of the 2 that were measured
        *rows("translate", "+ +++", normalization="unit"),
        *rows("invert", "?", normalization="unit"),
        *rows("translate", "+", **PIXEL),
        *rows("translate", "+ +", network="alexnet@second"),
    )
    assert (table.title, table.keys) == ("alexnet, layer by layer", ("normalization", "metric", "layer"))
    assert table.heads == ("invert", "translate")
    unmeasured = Cell("not measured", shade="unmeasured")
    assert dict(zip(table.rows, table.cells, strict=True)) == {
        ("none", "sort", "1 first"): (Cell("1/2", value=0.5), Cell("2/3", value=0.666667)),
        ("none", "sort", "2 second"): (Cell("2/2", value=1.0), Cell("0/3", value=0.0, shade="fails")),
        ("none", "sort", "3 third"): (Cell("2/2", value=1.0), Cell("2/3", value=0.666667)),
        ("none", "sort", "all"): (Cell("1/2", value=0.5), Cell("1/3", value=0.333333, shade="fails")),
        **{
            ("unit", "sort", layer): (unmeasured, Cell("1/1", value=1.0, shade="all"))
            for layer in ("1 first", "2 second", "3 third", "all")
        },
    }
    assert list(table.rows)[3:5] == [("none", "sort", "all"), ("unit", "sort", "1 first")]


def test_each_network_has_a_table_and_what_it_was_not_asked_is_empty() -> None:
    cases = [*rows("invert", "+ ++", network="vgg16"), *rows("rotate", "+ +-", network="vgg16", metric="mean")]
    alexnet, vgg16 = tables_of(*cases, *rows("rotate", "+ +++"))
    assert (alexnet.heads, alexnet.labels[0]) == (("rotate",), "none-sort-1 first")
    assert (vgg16.heads, vgg16.labels[:2]) == (("invert", "rotate"), ["none-sort-1 a", "none-sort-2 b"])
    assert [str(cell) for cells in vgg16.cells for cell in cells] == [*["1/1", ""] * 3, "", "1/1", "", "0/1", "", "1/1"]


@pytest.mark.parametrize(
    ("verdicts", "words"),
    [
        (["- -+-", "- ---", "- ---"], "every layer alone fails rotate"),  # 1 of 3 is fewer than half
        (["- -+-", "- ---"], "layer 2 alone would pass 1/2 of rotate"),  # half is not
        (["- +-+", "- +-+", "+ ---"], "layer 1 alone would pass 2/3 of rotate"),  # the first of those that pass most
        (["- +--", "?", "?"], "layer 1 alone would pass 1/1 of rotate"),
        (["+ ---", "- ---"], ""),  # the metric passes half
    ],
)
def test_words_on_one_probe(verdicts: list[str], words: str) -> None:
    assert words_of(*rows("rotate", *verdicts)) == ([f"sort (none) on alexnet: {words}."] if words else [])


def test_words_are_of_one_metric_or_one_network() -> None:
    fails = [rows("rotate", "- --", network=network) for network in ("alexnet", "vgg16")]
    mean = [rows("rotate", "- --", network=network, metric="mean") for network in ("alexnet", "vgg16")]
    of_others = [*rows("rotate", "-", **PIXEL), *rows("rotate", "- -", network="vgg16@a", metric="mean")]
    assert len(words_of(*fails[0], *fails[1], *of_others)) == 2
    assert len(words_of(*fails[0], *mean[0], *of_others)) == 2
    assert words_of(*fails[0], *fails[1], *mean[0]) == []
    assert words_of(*of_others) == []
