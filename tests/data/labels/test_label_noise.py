"""Wrong labels made on purpose: how many, which, and what they become."""

from __future__ import annotations

import math
import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare

from rsretrieve.data.labels.fitted_transitions import fitted_transitions
from rsretrieve.data.labels.label_noise import (
    PUBLISHED_TABLES,
    capped_to_mean,
    corrupt_by_instance,
    corrupt_by_table,
    corrupt_uniformly,
    read_transitions,
)
from rsretrieve.errors import InvalidArgument, LabelsError, TableError
from tests.support.tiles.made_tiles import in_order, labelled_tiles, save_table, unhurried

THREE = {
    "a": {"b": 0.25, "c": 0.75},
    "b": {"a": 1.0},
    "c": {"a": 0.5, "b": 0.5},
}

# Rows of the published tables, typed off the paper's facts and not copied from our files.
AID_ROWS = """
Airport: BareLand 0.2, Industrial 0.2, Parking 0.2, RailwayStation 0.2, StorageTanks 0.2
BaseballField: Farmland 0.4, Meadow 0.4, SparseResidential 0.2
Center: Church 0.6, Commercial 0.2, Square 0.2
Industrial: Airport 0.2, Square 0.2, StorageTanks 0.4, Viaduct 0.2
Meadow: BaseballField 0.2, Farmland 0.2, Forest 0.4, River 0.2
MediumResidential: DenseResidential 0.4, SparseResidential 0.6
Playground: Park 0.2, Stadium 0.8
School: Center 0.2, Resort 0.4, Square 0.2, Stadium 0.2
Viaduct: RailwayStation 0.4, Square 0.6
"""
RESISC_ROWS = """
airplane: airport 0.4, freeway 0.2, industrial_area 0.2, runway 0.2
basketball_court: baseball_diamond 0.2, ground_track_field 0.6, tennis_court 0.2
chaparral: desert 0.8, terrace 0.2
cloud: island 0.2, sea_ice 0.4, snowberg 0.4
harbor: beach 0.2, island 0.2, mobile_home_park 0.4, ship 0.2
meadow: forest 0.4, wetland 0.6
parking_lot: mobile_home_park 0.6, railway_station 0.2, runway 0.2
roundabout: ground_track_field 0.2, intersection 0.8
thermal_power_station: cloud 0.2, industrial_area 0.4, storage_tank 0.4
wetland: bridge 0.2, forest 0.2, lake 0.4, river 0.2
"""


def typed_rows(text):
    rows = {}
    for line in text.strip().splitlines():
        name, _, shares = line.partition(": ")
        rows[name] = {to: float(s) for to, s in (part.split() for part in shares.split(", "))}
    return rows


def by_three(tiles, rate, seed):
    return corrupt_by_table(tiles, rate, THREE, seed)


def counts_by_class(tiles, labels):
    """How often each (true, given) pair of labels occurs."""
    return Counter((tile.label, labels[tile.id]) for tile in tiles)


def assert_drawn_from(tiles, labels, shares, rate):
    """Every class's labels are spread as its row says (chi-square over all cells at once)."""
    counts, sizes = counts_by_class(tiles, labels), Counter(tile.label for tile in tiles)
    expected = {(name, name): (1 - rate) * size for name, size in sizes.items()}
    for name, row in shares.items():
        for to, share in row.items():
            expected[name, to] = rate * share * sizes[name]
    assert set(counts) <= set(expected)
    test = chisquare(
        [counts[cell] for cell in expected], list(expected.values()), ddof=len(sizes) - 1
    )
    assert test.pvalue > 0.01


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.7])
def test_uniform_noise_leads_to_every_other_class_alike(rate):
    tiles = labelled_tiles(a=3000, b=1000, c=1000, d=1000, e=1000)
    labels = corrupt_uniformly(tiles, rate, seed=1)
    shares = {one: {other: 1 / 4 for other in "abcde" if other != one} for one in "abcde"}
    assert_drawn_from(tiles, labels, shares, rate)


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_noise_by_a_table_follows_its_shares(rate):
    tiles = labelled_tiles(a=3000, b=2000, c=2000)
    assert_drawn_from(tiles, corrupt_by_table(tiles, rate, THREE, seed=3), THREE, rate)


@pytest.mark.parametrize("name", PUBLISHED_TABLES)
def test_noise_by_a_published_table_follows_its_shares(name):
    table = read_transitions(name)
    tiles = labelled_tiles(**dict.fromkeys(table, 200))
    assert_drawn_from(tiles, corrupt_by_table(tiles, 0.5, table, seed=5), table, 0.5)


@pytest.mark.parametrize("corrupt", [corrupt_uniformly, by_three])
def test_at_rate_0_every_label_stays_and_at_rate_1_none(corrupt):
    tiles = labelled_tiles(a=50, b=50, c=50)
    assert corrupt(tiles, 0, 0) == {tile.id: tile.label for tile in tiles}
    labels = corrupt(tiles, 1, 0)
    assert all(labels[tile.id] != tile.label for tile in tiles)


@pytest.mark.parametrize("corrupt", [corrupt_uniformly, by_three])
def test_seeds_decide_which_labels_go_wrong(corrupt):
    tiles = labelled_tiles(a=100, b=100, c=100)
    one, again, other = (corrupt(tiles, 0.5, seed) for seed in (1, 1, 2))
    assert one == again != other
    alike = sum(one[tile.id] == other[tile.id] for tile in tiles)
    assert 100 < alike < 200  # chance lets 1/4 + 1/8 to 1/4 + 1/4 of them agree


@unhurried
@given(st.permutations(range(30)))
def test_labels_hang_on_neither_the_order_of_tiles_nor_their_company(order):
    tiles = labelled_tiles(a=10, b=10, c=10)
    uniform, by_table = corrupt_uniformly(tiles, 0.5, 7), corrupt_by_table(tiles, 0.5, THREE, 7)
    assert corrupt_uniformly(in_order(tiles, order), 0.5, 7) == uniform
    assert corrupt_by_table(in_order(tiles, order), 0.5, THREE, 7) == by_table
    fewer = in_order(tiles, [0, 10, 20, *(i for i in order[:9] if i % 10)])
    assert corrupt_uniformly(fewer, 0.5, 7).items() <= uniform.items()
    assert corrupt_by_table(fewer, 0.5, THREE, 7).items() <= by_table.items()


def test_tiles_without_a_label_get_none():
    tiles = labelled_tiles(a=2, b=2, c=1).relabelled({"a/0.png": None})
    assert set(corrupt_uniformly(tiles, 1, 0)) == {"a/1.png", "b/0.png", "b/1.png", "c/0.png"}


@pytest.mark.parametrize("rate", [-0.1, 1.01, math.nan])
def test_a_rate_outside_0_to_1_is_refused(rate):
    tiles = labelled_tiles(a=1, b=1, c=1)
    message = f"noise rate must be in 0…1, not {rate}$"
    with pytest.raises(InvalidArgument, match=message):
        corrupt_uniformly(tiles, rate, 0)
    with pytest.raises(InvalidArgument, match=message):
        corrupt_by_table(tiles, rate, THREE, 0)
    with pytest.raises(InvalidArgument, match=message):
        corrupt_by_instance(tiles, rate, np.eye(3, dtype=np.float32), "abc", 0)


@pytest.mark.parametrize(("counts", "classes"), [({}, 0), ({"a": 3}, 1)])
def test_one_class_alone_has_no_wrong_labels(counts, classes):
    tiles = labelled_tiles(**counts)
    message = f"^made up: .* at least two classes, and there are {classes}$"
    with pytest.raises(LabelsError, match=message):
        corrupt_uniformly(tiles, 0.5, 0)
    with pytest.raises(LabelsError, match=message):
        corrupt_by_instance(tiles, 0.5, np.ones((len(tiles), 1), np.float32), ["a"], 0)


def test_a_table_without_a_row_for_a_class_is_refused():
    tiles = labelled_tiles(a=1, d=1, e=1)
    message = re.escape("the noise table has no row for 2 of the 3 classes of made up ('d', 'e')")
    with pytest.raises(LabelsError, match=f"^{message}$") as caught:
        corrupt_by_table(tiles, 0.5, THREE, 0)
    assert "--table FILE.csv" in caught.value.hint


def test_a_table_that_leads_to_a_class_that_is_not_there_is_refused():
    message = re.escape("the noise table names classes that made up does not have ('c')")
    with pytest.raises(LabelsError, match=f"^{message}$"):
        corrupt_by_table(labelled_tiles(a=1, b=1), 0.5, THREE, 0)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("row", [{}, {"a": 0.0}])
def test_a_row_of_a_table_without_a_wrong_class_is_refused(row, exact):
    table = {"a": {"b": 1.0}, "b": row}
    with pytest.raises(LabelsError, match=r"no wrong class .*'b'"):
        corrupt_by_table(labelled_tiles(a=3, b=3), 1, table, 0, exact=exact)


@pytest.mark.parametrize("exact", [False, True])
def test_a_table_fitted_to_one_class_alone_makes_no_wrong_labels(exact):
    tiles = labelled_tiles(a=3)
    table, notices = fitted_transitions({"a": {"b": 1.0}}, tiles.class_names)
    assert notices == ()
    for each in (table, {"a": {}}):
        with pytest.raises(LabelsError, match="at least two classes"):
            corrupt_by_table(tiles, 1, each, 0, exact=exact)


def test_a_share_of_0_leads_nowhere():
    table = {"a": {"gone": 0.0, "b": 1.0}, "b": {"a": 1.0, "gone": 0.0}}
    tiles = labelled_tiles(a=100, b=100)
    assert set(corrupt_by_table(tiles, 1, table, 0).values()) == {"a", "b"}


def test_shares_that_fall_a_little_short_of_1_lead_to_the_last_class():
    table = {"a": {"b": 0.5, "c": 0.4}, "b": {"a": 1.0}, "c": {"a": 1.0}}
    tiles = labelled_tiles(a=1000, b=1, c=1)
    counts = Counter(corrupt_by_table(tiles, 1, table, 0).values())
    assert set(counts) == {"a", "b", "c"}
    assert 430 < counts["b"] < 570


@pytest.mark.parametrize(
    ("name", "classes", "text"), [("aid", 30, AID_ROWS), ("nwpu-resisc45", 45, RESISC_ROWS)]
)
def test_published_tables_are_those_of_the_paper(name, classes, text):
    table = read_transitions(name)
    assert len(table) == classes
    for label, row in typed_rows(text).items():
        assert table[label] == pytest.approx(row, abs=1e-12)
    for label, row in table.items():
        assert sum(row.values()) == pytest.approx(1, abs=1e-12)
        assert label not in row
        assert set(row) <= set(table)
        assert min(row.values()) >= 0.2 - 1e-12


def test_the_published_tables_have_no_other_names():
    assert PUBLISHED_TABLES == ("aid", "nwpu-resisc45")
    with pytest.raises(TableError, match=r"^AID: no such file$"):
        read_transitions("AID")


def write_transitions(folder, *rows):
    return str(save_table(folder / "noise.csv", ["from", "to", "share"], *rows))


def test_a_table_of_ones_own_is_read_and_its_shares_made_to_sum_to_1(tmp_path):
    thirds = [("a", to, "0.3333") for to in ("b", "c", "d")]
    table = read_transitions(write_transitions(tmp_path, *thirds, ("b", "a", "1")))
    assert table == {"a": pytest.approx({"b": 1 / 3, "c": 1 / 3, "d": 1 / 3}), "b": {"a": 1.0}}


@pytest.mark.parametrize(
    ("row", "shown"),
    [
        (("a", "c", "much"), "a → c with much"),
        (("a", "c", "-0.1"), "a → c with -0.1"),
        (("a", "c", "1.5"), "a → c with 1.5"),
        (("a", "c", "nan"), "a → c with nan"),
        (("a", "a", "0.5"), "a → a with 0.5"),
        (("a", "b", "0.5"), "a → b with 0.5"),
    ],
)
def test_a_row_that_is_no_transition_is_refused(tmp_path, row, shown):
    path = write_transitions(tmp_path, ("a", "b", "0.5"), row)
    message = re.escape(
        f"{path}: line 3 must name two different classes, each pair once, and a share in 0…1; "
        f"it is {shown}"
    )
    with pytest.raises(LabelsError, match=f"^{message}$"):
        read_transitions(path)


@pytest.mark.parametrize(("share", "total"), [("0.49", "0.99"), ("0.6", "1.1")])
def test_shares_that_do_not_sum_to_1_are_refused(tmp_path, share, total):
    path = write_transitions(tmp_path, ("a", "b", "0.5"), ("a", "c", share), ("b", "a", "1"))
    with pytest.raises(LabelsError, match=rf"noise\.csv: the shares of a sum to {total}, not 1$"):
        read_transitions(path)


def test_a_table_needs_its_three_columns(tmp_path):
    path = save_table(tmp_path / "noise.csv", ["from", "to"], ("a", "b"))
    with pytest.raises(TableError, match="no column 'share'"):
        read_transitions(str(path))


def similarities_of(tiles, confusability, nearest):
    """(N, 3) similarities: 0 to the own class, c_i to `nearest`'s, −1 to the third."""
    rows = []
    for tile, c, other in zip(tiles, confusability, nearest):
        rows.append([0.0 if k == tile.label else c if k == other else -1.0 for k in "abc"])
    return np.array(rows, np.float32)


def by_instance(tiles, rate, confusability, seed=0, **options):
    """The labels when a's are nearest to b's, b's to c's and c's to a's."""
    nearest = ["bca"["abc".index(tile.label)] for tile in tiles]
    similarities = similarities_of(tiles, confusability, nearest)
    return corrupt_by_instance(tiles, rate, similarities, "abc", seed, **options)


def changed(tiles, labels):
    return np.array([labels[tile.id] != tile.label for tile in tiles])


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.7])
def test_instance_noise_has_the_rate_as_its_mean(rate):
    tiles = labelled_tiles(a=1500, b=1500, c=1500)
    confusability = np.random.default_rng(0).uniform(-0.9, 0.3, len(tiles))
    wrong = changed(tiles, by_instance(tiles, rate, confusability))
    assert wrong.mean() == pytest.approx(rate, abs=3 * math.sqrt(rate * (1 - rate) / len(tiles)))


def test_instance_noise_strikes_tiles_in_proportion_to_the_exponential_of_their_confusability():
    tiles = labelled_tiles(a=2000, b=2000, c=2000)
    levels = np.tile([0.1, 0.0, -0.1], 2000)
    wrong = changed(tiles, by_instance(tiles, 0.2, levels, softness=0.2))
    struck = np.array([wrong[levels == level].mean() for level in (0.1, 0.0, -0.1)])
    weights = np.exp([0.5, 0.0, -0.5])
    assert struck == pytest.approx(0.2 * weights / weights.mean(), abs=0.03)


def test_instance_noise_strikes_the_most_confusable_tiles():
    tiles = labelled_tiles(a=300, b=300, c=300)
    confusable = np.arange(900) % 3 == 0
    wrong = changed(tiles, by_instance(tiles, 1 / 3, np.where(confusable, 0.2, -0.9)))
    assert wrong[confusable].mean() > 0.99
    assert wrong[~confusable].mean() < 0.01


def test_instance_noise_leads_to_the_class_a_tile_is_most_like_beside_its_own():
    tiles = labelled_tiles(a=50, b=50, c=50)
    labels = by_instance(tiles, 1, np.full(150, -0.2))
    assert {(tile.label, labels[tile.id]) for tile in tiles} == {("a", "b"), ("b", "c"), ("c", "a")}


def test_instance_noise_does_not_change_the_similarities_it_is_given():
    tiles = labelled_tiles(a=1, b=1)
    similarities = np.array([[0.9, 0.1], [0.2, 0.8]])
    corrupt_by_instance(tiles, 0.5, similarities, ["a", "b"], 0)
    assert similarities.tolist() == [[0.9, 0.1], [0.2, 0.8]]


def test_instance_noise_hangs_on_the_seed_and_not_on_the_order_of_tiles():
    tiles = labelled_tiles(a=40, b=40, c=40)
    rng = np.random.default_rng(1)
    confusability, order = rng.uniform(-0.5, 0.2, 120), rng.permutation(120)
    one = by_instance(tiles, 0.4, confusability, seed=1)
    assert by_instance(in_order(tiles, order), 0.4, confusability[order], seed=1) == one
    assert by_instance(tiles, 0.4, confusability, seed=2) != one


def capped_by_bisection(weights, mean):
    """min(1, a·w), with a found by halving an interval over its exponent."""
    low, high = -50.0, 50.0
    for _ in range(200):
        middle = (low + high) / 2
        reached = sum(min(1.0, math.exp(middle) * w) for w in weights) / len(weights)
        low, high = (middle, high) if reached < mean else (low, middle)
    return [min(1.0, math.exp(low) * w) for w in weights]


@unhurried
@given(st.lists(st.floats(1e-4, 1e4), min_size=1, max_size=20), st.floats(0.01, 0.99))
def test_weights_are_scaled_and_capped_to_the_mean(weights, mean):
    found = capped_to_mean(np.array(weights), mean)
    assert found == pytest.approx(capped_by_bisection(weights, mean), abs=1e-9)
    assert found.mean() == pytest.approx(mean)


@pytest.mark.parametrize(
    ("weights", "mean", "expected"),
    [
        ([1, 2, 3], 0.2, [0.1, 0.2, 0.3]),
        ([1, 1, 100], 0.5, [0.25, 0.25, 1]),
        ([1, 2, 3], 0, [0, 0, 0]),
        ([1, 1e-9, 3], 1, [1, 1, 1]),
        ([], 0.5, []),
    ],
)
def test_weights_capped_by_hand(weights, mean, expected):
    assert capped_to_mean(np.array(weights, float), mean) == pytest.approx(expected)
