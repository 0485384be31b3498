"""Runs as CSV files: read whole or refused with a place, written and read back, fitted to a mixture."""

import json
import math
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from mixer.strategy import History
from mixer.table_fit import fit_tables
from mixer.tables import Runs, of_history, read_amounts, read_tables, written
from pipelines.errors import InputError, SettingsError

RATIOS = ",run,name,index,web,books\n0,aa,first,0,0.25,0.75\n1,bb,second,1,0.6004,0.4\n"
THREE = RATIOS + "2,cc,third,2,0.5,0.5\n"
METRICS = "run,index,arc,hellaswag\nbb,1,1.5,2.5\naa,0,1.0,\ncc,2,9,9\n"


def files(folder, ratios=RATIOS, metrics=METRICS):
    (folder / "ratios.csv").write_text(ratios, encoding="utf-8")
    (folder / "metrics.csv").write_text(metrics, encoding="utf-8")
    return folder / "ratios.csv", folder / "metrics.csv"


def test_rows_are_joined_by_run_and_renormalised(tmp_path):
    runs = read_tables(*files(tmp_path))
    assert runs.keys == ("aa", "bb")
    assert runs.buckets == ("web", "books")
    assert runs.weights[1] == pytest.approx([0.6004 / 1.0004, 0.4 / 1.0004])
    assert runs.metrics["arc"].tolist() == [1.0, 1.5]
    assert math.isnan(runs.metrics["hellaswag"][0])
    assert runs.unpaired == 1


def test_spaces_after_commas_are_no_part_of_a_name(tmp_path):
    loose = read_tables(*files(tmp_path, RATIOS.replace(",", ", "), METRICS.replace(",", ", ")))
    tight = read_tables(*files(tmp_path))
    assert (loose.keys, loose.buckets, list(loose.metrics)) == (tight.keys, tight.buckets, list(tight.metrics))
    (tmp_path / "amounts.csv").write_text("bucket, tokens\nweb , 3\nbooks, 4\n")
    assert read_amounts(tmp_path / "amounts.csv") == {"web": 3, "books": 4}


@pytest.mark.parametrize(
    ("ratios", "metrics", "told"),
    [
        (RATIOS.replace("0.25", "0.15"), METRICS, r"ratios.csv, line 2: the weights of run aa sum to 0.9, not to 1"),
        (RATIOS.replace("0.25", "-0.25"), METRICS, r"ratios.csv, line 2, web: -0.25 is no weight"),
        (RATIOS.replace("0.25", "nan"), METRICS, r"line 2, web: nan is no weight"),
        (RATIOS.replace("0.25", ""), METRICS, r"line 2, web: '' is no number"),
        (RATIOS, METRICS.replace("2.5", "two"), r"metrics.csv, line 2, hellaswag: 'two' is no number"),
        (RATIOS, METRICS.replace(",9,9", ",9"), r"metrics.csv, line 4: 3 cells, 4 columns"),
        (RATIOS.replace("1,bb", "1,aa"), METRICS, r"line 3: run aa was on line 2 already"),
        (RATIOS, METRICS.replace("bb,", "x,").replace("aa,", "y,"), "share no run; the first are aa, bb and x, y, cc"),
        (RATIOS.replace("run", "trial"), METRICS.replace("index", "i"), "share no column run or index"),
        (RATIOS.replace("books", "web"), METRICS, "has two columns web"),
        (RATIOS.replace(",", ";"), METRICS, r"ratios\.csv has ';' between its columns"),
        (RATIOS, METRICS.replace(",", "\t"), r"metrics\.csv has '\\t' between its columns"),
        (RATIOS.replace("0.25,0.75", "25,75"), METRICS, "sum to 100, not to 1; .* shares, not percent"),
        ("run,web\naa,1\n", METRICS, "has 1 buckets"),
        ("run,web,books\n", METRICS, "has no rows"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(tmp_path, ratios, metrics, told):
    with pytest.raises(InputError, match=told):
        read_tables(*files(tmp_path, ratios, metrics))


def test_a_missing_or_foreign_file_is_an_input_error(tmp_path):
    ratios, metrics = files(tmp_path)
    with pytest.raises(InputError, match=r"none.csv cannot be read"):
        read_tables(ratios, tmp_path / "none.csv")
    metrics.write_bytes(b"run,a\xff\xfe\n")
    with pytest.raises(InputError, match=r"metrics.csv cannot be read"):
        read_tables(ratios, metrics)


def drawn(num: int = 40) -> Runs:
    weights = np.random.default_rng(1).dirichlet(np.ones(4), num)
    first = 2 + ((weights + 0.05) ** -0.4) @ np.array([0.3, 0.1, 0.02, 0.01])
    return Runs(tuple(f"r{i}" for i in range(num)), ("a", "b", "c", "d"), weights, {"x": first, "y": 2 * first})


def test_written_tables_are_read_back_to_the_last_digit(tmp_path):
    runs = drawn(5)
    runs.metrics["y"][2] = math.nan
    for path, data in zip(files(tmp_path), written(runs), strict=True):
        path.write_bytes(data)
    again = read_tables(tmp_path / "ratios.csv", tmp_path / "metrics.csv")
    assert again.keys == runs.keys
    assert np.allclose(again.weights, runs.weights, rtol=0, atol=1e-15)
    assert np.array_equal(again.metrics["y"], runs.metrics["y"], equal_nan=True)
    history = History(runs.weights, runs.metrics["x"], np.ones(5, np.int64), {"t": runs.metrics["x"] / 2})
    assert list(of_history(history, runs.buckets).metrics) == ["t", "objective"]


@pytest.mark.parametrize("strategy", ["auto", "olmix", "climb", "modomodo", "uniform", "random"])
def test_a_fit_is_a_mixture_within_its_caps_with_its_evidence(strategy):
    found = fit_tables(drawn(), strategy=strategy, caps={"a": 0.5}, candidate_count=2000)
    assert found.weights.sum() == pytest.approx(1)
    assert found.weights[0] <= 0.5 + 1e-12
    told = found.to_json()
    assert told["mixture"].keys() == {"a", "b", "c", "d"}
    assert told["objective"] == ["x", "y"]
    if strategy in ("uniform", "random"):
        assert told["predicted"] is None
        assert "predicts nothing" in told["remark"]
    else:
        assert told["cross_validation"]["better_than_chance"]
        assert told["predicted"] < told["rules_predicted"]["uniform"] + 0.01
    if strategy == "auto":
        assert found.weights[0] > 0.4


def test_scores_that_are_to_be_high_are_turned():
    runs = drawn()
    high = Runs(runs.keys, runs.buckets, runs.weights, {"score": 1 - runs.metrics["x"]})
    found = fit_tables(high, higher_is_better=True, candidate_count=2000)
    low = fit_tables(runs, objective=("x",), candidate_count=2000)
    assert found.weights == pytest.approx(low.weights, abs=1e-6)
    assert found.predicted == pytest.approx(1 - low.predicted, abs=1e-6)
    assert found.best_measured == pytest.approx(high.metrics["score"].max())


def test_what_is_not_there_is_named():
    runs = drawn()
    for wrong, told in (
        ({"objective": ("z",)}, "no metric is called z; there are: x, y"),
        ({"caps": {"e": 0.5}}, "caps: e are no buckets"),
        ({"caps": dict.fromkeys("abcd", 0.2)}, "leaves no mixture"),
        ({"natural": {"a": 1.0}}, "natural has nothing for b, c, d"),
        ({"strategy": "best"}, "no strategy is called 'best'"),
        ({"strategy": "annealing"}, "the strategy 'annealing' searches phases, and a run of a table has one mixture"),
    ):
        with pytest.raises(SettingsError, match=told):
            fit_tables(runs, candidate_count=100, **wrong)
    runs.metrics["x"][2:] = math.nan
    with pytest.raises(SettingsError, match="2 runs have a number for x; at least 3 are needed"):
        fit_tables(runs, objective=("x",))


def test_a_metric_that_is_nearly_named_is_suggested():
    runs = drawn()
    metrics = {f"metric/the_pile_{name}_val_loss": values for name, values in runs.metrics.items()}
    with pytest.raises(SettingsError, match=r"called pile_x; did you mean 'metric/the_pile_x_val_loss'\? There are:"):
        fit_tables(replace(runs, metrics=metrics), objective=("pile_x",))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,3\nb,4\n", "begins with 'a,3'; put a heading before it"),
        ("bucket\na\n", "has 1 columns; two are read"),
        ("bucket,tokens\na,0\n", "line 2: a = 0.0; an amount is more than 0"),
        ("bucket,tokens\na,many\n", "line 2, tokens: 'many' is no number"),
        ("bucket,tokens\na,1\na,2\n", "line 3: a was there already"),
        ("bucket,tokens\na,1,2\n", "line 2: 3 cells, 2 columns"),
    ],
)
def test_amounts_that_are_none_are_refused_with_their_line(tmp_path, text, told):
    (tmp_path / "natural.csv").write_text(text)
    with pytest.raises(InputError, match=rf"natural.csv.* ?{told}"):
        read_amounts(tmp_path / "natural.csv")


def test_a_predictor_goes_with_a_strategy_that_takes_one():
    found = fit_tables(drawn(), predictor="quadratic", candidate_count=1000)
    assert found.strategy == "climb"
    assert found.predictor.startswith("quadratic")
    with pytest.raises(SettingsError, match=r"the strategy 'olmix' takes no predictor; climb, .*; leave 'stack' out"):
        fit_tables(drawn(), strategy="olmix", predictor="stack")


def test_noise_is_told_as_noise():
    runs = drawn()
    noise = Runs(runs.keys, runs.buckets, runs.weights, {"x": np.random.default_rng(7).standard_normal(40)})
    assert "no better than chance" in fit_tables(noise, candidate_count=1000).remark


def test_the_published_olmix_tables_are_read_and_fitted(shared):
    folder = shared / "tables" / "olmix"
    runs = read_tables(folder / "dclm_ratios.csv", folder / "dclm_metrics.csv")
    assert runs.weights.shape == (127, 24)
    assert len(runs.metrics) == 110
    found = fit_tables(runs, candidate_count=4000)
    assert found.validation.spearman > 0.9
    assert found.predicted < min(found.others.values())


# ---------------------------------------------------------------------------------------------------------
# The command


@pytest.fixture
def fit(sirdar, monkeypatch):
    """Runs `sirdar mix fit` in this process: (exit code, standard output, standard error)."""
    monkeypatch.setattr("mixer.table_fit.CANDIDATES", 2000)
    return partial(sirdar, "mix", "fit")


def tables(folder, runs: Runs):
    for path, data in zip(files(folder), written(runs), strict=True):
        path.write_bytes(data)
    return folder / "ratios.csv", folder / "metrics.csv"


def test_the_command_tells_mixture_prediction_and_its_worth(fit, tmp_path):
    paths = tables(tmp_path, drawn())
    code, out, err = fit(*paths, "--objective", "x")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("a  ")
    shares = [float(line.split()[1]) for line in lines[:4]]
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(100, abs=0.03)
    assert "40 runs, x: best measured" in out
    assert "by chance" in lines[-1]
    _, out, _ = fit(*paths, "--objective", "x", "--json")
    told = json.loads(out)
    assert sum(told["mixture"].values()) == pytest.approx(1)
    assert told["objective"] == ["x"]
    assert told["cross_validation"]["better_than_chance"]


def test_the_command_warns_where_nothing_is_known(fit, tmp_path):
    runs = drawn()
    noise = Runs(runs.keys, runs.buckets, runs.weights, {"x": np.random.default_rng(7).standard_normal(40)})
    paths = tables(tmp_path, noise)
    for more in ((), ("--json",)):
        code, out, err = fit(*paths, *more)
        assert code == 0
        assert "warning: The predictor ranks runs no better than chance" in " ".join(err.split())
        assert not more or json.loads(out)["cross_validation"]["better_than_chance"] is False
    assert "predicts nothing" in fit(*paths, "--strategy", "uniform")[2]


def test_natural_amounts_and_scores_reach_the_fit(fit, tmp_path):
    paths = tables(tmp_path, drawn())
    (tmp_path / "natural.csv").write_text("bucket,tokens\na,1\nb,1\nc,1\nd,97\n")
    options = ("--strategy", "natural", "--natural", tmp_path / "natural.csv", "--json")
    assert json.loads(fit(*paths, *options)[1])["mixture"]["d"] == pytest.approx(0.97)
    low, high = (json.loads(fit(*paths, "--json", *more)[1]) for more in ((), ("--higher-is-better",)))
    assert low["best_measured"] < high["best_measured"]
    assert low["mixture"] != high["mixture"]


@pytest.mark.parametrize(
    ("ratios", "options", "told"),
    [
        (RATIOS.replace("0.25", "-0.25"), (), "ratios.csv, line 2, web: -0.25 is no weight"),
        (RATIOS, (), "2 runs have a number"),
        (THREE, ("--strategy", "best"), "no strategy is called 'best'; there are: auto"),
        (RATIOS, ("--objective", "z"), "no metric is called z; there are: arc, hellaswag"),
    ],
)
def test_what_is_wrong_is_one_line_and_an_exit_code(fit, tmp_path, ratios, options, told):
    code, out, err = fit(*files(tmp_path, ratios), "--objective", "arc", *options)
    assert (code, out) == (1, "")
    assert told in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_the_command_reads_the_published_regmix_tables(fit, shared, tmp_path):
    folder = shared / "tables" / "regmix"
    paths = []
    for name in ("mixture", "pile_loss"):  # 64 of 512 runs: what a search has
        lines = (folder / f"train_{name}_1m.csv").read_text().splitlines(keepends=True)
        paths.append(tmp_path / f"{name}.csv")
        paths[-1].write_text("".join(lines[:65]))
    code, out, _ = fit(*paths, "--objective", "metric/the_pile_pile_cc_val_loss", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["runs"] == 64
    assert told["cross_validation"]["better_than_chance"]
    assert max(told["mixture"], key=told["mixture"].get) == "train_the_pile_pile_cc"
