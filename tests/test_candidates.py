import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mixer.candidates import GRID, Candidates, Space, capped, pool, read, start, write
from mixer.strategies import rules
from mixer.strategy import Target
from pipelines.errors import SettingsError, StoreError

COUNTS = [5, 10, 20, 40, 80, 160, 320, 365]


def space(counts=COUNTS, budget=0, max_epochs=15.0) -> Space:
    return Space.of(counts, budget_tokens=budget or sum(counts), max_epochs=max_epochs)


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_capped_rows_keep_every_rule(data):
    buckets = data.draw(st.integers(2, 6))
    values = hnp.arrays(np.float64, (3, buckets), elements=st.floats(0, 1).map(lambda x: x if x > 1e-6 else 0.0))
    weights = data.draw(values)
    weights[weights.sum(axis=1) == 0] = 1
    weights /= weights.sum(axis=1, keepdims=True)
    limits = data.draw(hnp.arrays(np.float64, buckets, elements=st.floats(0.02, 1)))
    limits = np.minimum(1, limits * max(1, 1.01 / limits.sum()))
    if limits.sum() < 1:
        limits = np.ones(buckets)
    out = capped(weights, limits)
    assert np.allclose(out.sum(axis=1), 1, atol=1e-12)
    assert (out <= limits + 1e-12).all()
    assert (out >= 0).all()
    inside = (weights <= limits).all(axis=1)
    assert (out[inside] == weights[inside]).all()
    assert np.allclose(capped(out, limits), out, atol=1e-12)
    # Buckets left under their limits keep their proportions.
    for before, after in zip(weights, out, strict=True):
        free = (after < limits - 1e-9) & (before > 0)
        if free.sum() > 1:
            ratio = after[free] / before[free]
            assert np.allclose(ratio, ratio[0], rtol=1e-6)


def test_capped_uniform_is_unimax():
    # The figures of the unimax-sampling package: Swedish, Finnish, Estonian, Icelandic, Faroese; 250e9, N = 4.
    sizes = [179955884499, 184595788282, 42541080893, 10027573389, 549707867]
    found = rules.uniform(Space.of(sizes, budget_tokens=250_000_000_000, max_epochs=4))
    assert np.allclose(found, [0.276921, 0.276921, 0.276921, 0.160441, 0.008795], atol=1e-6)


def test_surplus_of_a_lone_bucket_goes_by_tokens():
    limits = space([10, 20, 70], budget=100, max_epochs=2).limits
    assert capped([1.0, 0.0, 0.0], limits)[0] == pytest.approx([0.2, 0.8 * 0.4 / 1.4, 0.8 * 1 / 1.4])


def test_surplus_goes_to_others_of_next_to_nothing():
    rows = capped([[1.0, 1e-310, 0.0, 0.0], [1.0, 1e-320, 3e-320, 0.0], [1.0, 1e-12, 3e-12, 0.0]], np.full(4, 0.7))
    assert rows == pytest.approx(np.array([[0.7, 0.3, 0, 0], [0.7, 0.075, 0.225, 0], [0.7, 0.075, 0.225, 0]]), rel=1e-3)


def test_space_refuses_what_cannot_be_mixed():
    with pytest.raises(SettingsError, match=r"clusters \[1\] have no tokens"):
        space([5, 0, 7])
    with pytest.raises(SettingsError, match="1 clusters"):
        space([5])
    with pytest.raises(SettingsError, match=r"20\.0 epochs of all clusters together, over max_epochs = 15"):
        space([50, 50], budget=2000)


def test_start_draws_are_the_recipes():
    found = start(space(), 64, seed=42)
    assert found.shape == (64, 8)
    assert np.allclose(found.sum(axis=1), 1, atol=1e-12)
    assert (found <= space().limits + 1e-12).all()
    assert len({row.tobytes() for row in found}) == 64
    # On the grid, but for the last renormalisation.
    steps = found / GRID
    assert np.abs(steps - np.rint(steps)).max() < 0.01 * np.rint(steps).max()
    assert np.array_equal(found, start(space(), 64, seed=42))
    assert not np.array_equal(found, start(space(), 64, seed=43))
    # Around the flattened shares, closer to them than to the shares themselves.
    many = start(space(max_epochs=1e9), 1000, seed=1).mean(axis=0)
    flat = np.sqrt(space().shares) / np.sqrt(space().shares).sum()
    assert np.abs(many - flat).sum() < 0.15 < np.abs(many - space().shares).sum()


def test_start_rows_are_exchangeable():
    # Random search takes the rest of the rows that round 1 begins: neither part may differ from the other.
    found = start(space(), 1000, seed=3)
    gap = np.abs(found[:500].mean(axis=0) - found[500:].mean(axis=0))
    assert (gap < 4 * found.std(axis=0) * np.sqrt(2 / 500)).all()


def test_start_under_caps_that_reject_nearly_everything():
    tight = space([10] * 8, budget=100, max_epochs=1.26)  # limits of .126, where equal weights are .125
    found = start(tight, 5, seed=0)
    assert (found <= tight.limits + 1e-12).all()
    with pytest.raises(SettingsError, match="different mixtures fit the caps"):
        start(space([50, 50], budget=100, max_epochs=1), 5, seed=0)


def test_pool_is_dirichlet_of_the_shares_within_the_caps():
    shares = space().shares
    found = pool(space(max_epochs=1e9), 40_000, concentration=1.0, seed=42)
    assert np.abs(found.mean(axis=0) - shares).max() < 0.01
    variance = shares * (1 - shares) / 2  # of a Dirichlet with concentration 1
    assert np.abs(found.var(axis=0) / variance - 1).max() < 0.1
    narrow = pool(space(max_epochs=4.0), 20_000, concentration=1.0, seed=42)
    assert (narrow <= space(max_epochs=4.0).limits + 1e-12).all()
    # The caps are reached, not only approached.
    assert (np.isclose(narrow, space(max_epochs=4.0).limits).sum(axis=0)[:5] > 50).all()
    assert len({row.tobytes() for row in narrow}) == len(narrow)
    assert np.array_equal(narrow, pool(space(max_epochs=4.0), 20_000, concentration=1.0, seed=42))


def test_candidates_file_round_trip_and_refusal(tmp_path):
    weights = start(space(), 5, seed=0)
    path = tmp_path / "candidates" / "round-2.parquet"
    predicted = np.array([1.0, 2.0, np.nan, 4.0, 5.0])
    write(path, Candidates(weights, tuple("abcde"), predicted, predicted / 10), {"round": 2, "rounds": (3, 2)})
    again = read(path, {"round": 2, "rounds": [3, 2]})
    assert np.array_equal(again.weights, weights)
    assert again.names == tuple("abcde")
    assert np.array_equal(again.predicted, predicted, equal_nan=True)
    assert [file.name for file in path.parent.iterdir()] == ["round-2.parquet"]
    with pytest.raises(StoreError, match=r"another search \(rounds differ\)"):
        read(path, {"round": 2, "rounds": [4, 2]})


def test_rules():
    found = rules.all_of(space([10, 40, 50]), Target.of_counts([3, 0, 1]))
    assert found["natural"] == pytest.approx([0.1, 0.4, 0.5])
    assert found["uniform"] == pytest.approx([1 / 3] * 3)
    assert found["nearest"] == pytest.approx([0.75, 0, 0.25])
    assert found["entropy"] == pytest.approx(np.sqrt([10, 40, 50]) / np.sqrt([10, 40, 50]).sum())
    assert "domain2vec" not in found
    topics = Target(np.array([3, 0, 1]), np.eye(3), np.array([0.6, 0.1, 0.3]))
    assert rules.all_of(space([10, 40, 50]), topics)["domain2vec"] == pytest.approx([0.6, 0.1, 0.3], abs=1e-3)
    capped_nearest = rules.nearest(space([10, 40, 50], budget=100, max_epochs=2), [3, 0, 1])
    assert capped_nearest == pytest.approx([0.2, 0, 0.8])
    with pytest.raises(SettingsError, match="some must be positive"):
        rules.nearest(space([10, 40, 50]), [0, 0, 0])
    with pytest.raises(SettingsError, match="2 counts for 3 clusters"):
        rules.nearest(space([10, 40, 50]), [1, 1])


def test_entropy_lies_between_natural_and_uniform_as_defined():
    shares = space().shares
    found = rules.entropy(space())

    def cost(weights):
        return (weights * np.log(weights / shares)).sum() + (weights * np.log(weights * len(weights))).sum()

    random = np.random.default_rng(0)
    for _ in range(200):
        other = found * np.exp(0.1 * random.standard_normal(len(found)))
        assert cost(other / other.sum()) >= cost(found)


def test_cluster_counts_leave_out_pruned_clusters():
    assert rules.cluster_counts([0, 2, 2, -1, 5], 3).tolist() == [1, 0, 2]


def test_damaged_candidates_are_told_and_never_taken(tmp_path):
    path, about = tmp_path / "round-1.parquet", {"round": 1}
    write(path, Candidates.unpredicted(start(space(), 64, seed=0)), about)
    whole = path.read_bytes()
    column = next(
        column
        for column in map(pq.read_metadata(path).row_group(0).column, range(5))
        if column.path_in_schema.startswith("weights")
    )
    first = column.dictionary_page_offset
    for at in range(first, first + column.total_compressed_size, 97):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"round-1\.parquet cannot be read \(.*delete it, and the round"):
            read(path, about)
    path.write_bytes(whole[:-20])
    with pytest.raises(StoreError, match="cannot be read"):
        read(path, about)
