"""`jaxomics sweep` from words to files, on two small views."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

from jaxomics.cli import main
from jaxomics.commands.again import changes
from jaxomics.commands.options import parse
from jaxomics.commands.sweep import Plan, sweep
from jaxomics.commands.train import command as train_command
from jaxomics.commands.trials import best_settings, prepare_trials
from jaxomics.config import Choice, Float, to_json
from jaxomics.data.io import read_cohort, read_table
from jaxomics.engine.replicate import fit_many
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.presets import preset
from jaxomics.search import group as search_group

SMALL = [
    "--preset", "paper", "--latent", "3", "--hidden", "4", "--view-latent", "3", "--epochs", "4",
    "--batch-size", "16",
]  # fmt: skip
RATES = ["--space-preset", "none", "--space", "learning_rate=1e-4:1e-1:log", "dropout=0:0.6"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cohort")
    rng = np.random.default_rng(0)
    samples = [f"s{i:02d}" for i in range(40)]
    factors = rng.normal(size=(40, 2))
    for view, width in (("rna", 6), ("protein", 5)):
        table = pd.DataFrame(
            factors @ rng.normal(size=(2, width)) + 0.1 * rng.normal(size=(40, width)),
            index=pd.Index(samples, name="sample"),
            columns=[f"g{i}" for i in range(width)],
        )
        table.iloc[: 3 if view == "protein" else 0] = np.nan
        table.dropna(how="all").to_csv(folder / f"{view}.csv")
    site = ["north"] * 38 + ["south"] * 2
    labels = pd.DataFrame(
        {"tissue": ["lung", "skin"] * 20, "site": site}, index=pd.Index(samples, name="sample")
    )
    labels.to_csv(folder / "labels.csv")
    return folder


def words(data: Path, out: Path, *more: str, trials: int = 6) -> list[str]:
    start = ["sweep", "mosa", "--data", str(data), "--out", str(out), "--trials", str(trials)]
    return [*start, "--group-size", "3", *SMALL, "--quiet", *RATES, *more]


def trials_of(out: Path) -> pd.DataFrame:
    return read_table(out / "tables" / "trials.parquet")


def test_a_search_leaves_tables_figures_and_a_command_that_trains(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "run"
    assert main(words(data, out)) == 0
    trained = capsys.readouterr()
    assert trained.err == ""
    table = trials_of(out)
    assert list(table.columns) == [
        "trial", "group", "state", "value", "learning_rate", "dropout", "epochs",
    ]  # fmt: skip
    assert table["trial"].tolist() == list(range(6))
    assert table["group"].tolist() == [0, 0, 0, 1, 1, 1]
    assert table["learning_rate"].between(1e-4, 1e-1).all()
    assert read_table(out / "tables" / "importance.parquet")["importance"].sum() == pytest.approx(1)
    assert {f.name for f in (out / "figures").iterdir()} == {
        "history.png", "importance.png", "parallel.png",
    }  # fmt: skip
    best = table.loc[table["value"].idxmin()]
    settings = json.loads((out / "settings.json").read_text())
    assert settings["hyper"]["learning_rate"] == best["learning_rate"]
    assert settings["train"]["valid_fraction"] == 0.0
    told = trained.out.split()
    assert told[:3] == ["jaxomics", "train", "mosa"]
    target, prog = train_command(told[2:])
    asked = parse(target, told[2:], prog).keywords["options"].settings()  # pyright: ignore
    assert to_json(asked) == settings


def test_the_same_command_gives_the_same_bytes_whatever_the_blocks(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    assert main(words(data, tmp_path / "a")) == 0
    monkeypatch.setattr(search_group, "fit_many", lambda *a, **k: fit_many(*a, **k, block=1))
    assert main(words(data, tmp_path / "b", "--max-replicas", "3")) == 0
    for name in ("trials", "importance"):
        one, two = (tmp_path / run / "tables" / f"{name}.parquet" for run in "ab")
        assert one.read_bytes() == two.read_bytes()


def test_a_trial_is_what_training_alone_gives(data: Path, tmp_path: Path):
    settings = preset("mosa", "paper")
    found = sweep(
        "mosa", data, tmp_path / "run", Plan(trials=2, group_size=2, prune=False),
        settings=best_settings(settings, {"latent": 3, "hidden": (4.0,), "epochs": 3}),
        space={"learning_rate": Float(1e-3, 1e-2), "latent": Choice((2, 3))},
    )  # fmt: skip
    assert found is not None
    cohort = read_cohort(data)
    row = found.trials.iloc[1]
    values = {"latent": int(row["latent"]), "learning_rate": float(row["learning_rate"])}
    alone = best_settings(found.settings, values)
    trained = prepare_trials(Estimator(alone), cohort)
    assert set(trained.preprocess_.views) == {"rna", "protein"}
    estimator = Estimator(trained.settings).fit(
        cohort, samples=cohort.samples.difference(trained.held_out_), valid=trained.held_out_
    )
    assert estimator.result_ is not None
    last = [r["reconstruction"] for r in estimator.result_.history if r["split"] == "valid"][-1]
    assert row["value"] == pytest.approx(last, rel=1e-4)


def test_a_diverging_trial_fails_and_the_others_go_on(data: Path, tmp_path: Path):
    out = tmp_path / "run"
    rates = ["--space", "learning_rate=1e-3,1e38"]
    fixed = [w for w in words(data, out, trials=6) if w not in RATES[2:]]
    assert main([*fixed, *rates]) == 0
    table = trials_of(out)
    failed = table["learning_rate"] == 1e38
    assert failed.any()
    assert not failed.all()
    assert (table["state"] == "failed").tolist() == failed.tolist()
    assert table.loc[failed, "value"].isna().all()


def test_a_search_in_which_everything_diverges_says_so_and_keeps_its_tables(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "run"
    fixed = [w for w in words(data, out, trials=2) if w not in RATES[2:]]
    assert main([*fixed, "--space", "learning_rate=1e37,1e38"]) == 2
    assert "expected a trial with finite training, found none" in capsys.readouterr().err
    assert (trials_of(out)["state"] == "failed").all()


def test_a_killed_search_goes_on_until_all_trials_are_there(data: Path, tmp_path: Path):
    out = tmp_path / "run"
    assert main(words(data, out, trials=3)) == 0
    study = optuna.load_study(
        study_name="mosa",
        storage=optuna.storages.JournalStorage(
            optuna.storages.journal.JournalFileBackend(str(out / "study.log"))
        ),
    )
    lost = study.ask()  # as a process leaves it that was killed in this folder
    study.set_user_attr(
        "process:dead", {"folder": str(out), "host": "elsewhere", "pid": 1, "beat": 3}
    )
    lost.set_user_attr("asked", {"process": "dead", "group": lost.number})
    assert main(words(data, out, "--resume")) == 0
    assert trials_of(out)["trial"].tolist() == [0, 1, 2, 4, 5, 6]
    before = (out / "tables" / "trials.parquet").read_bytes()
    assert main(words(data, out, "--resume")) == 0
    assert (out / "tables" / "trials.parquet").read_bytes() == before


def test_two_processes_share_a_study(data: Path, tmp_path: Path):
    storage = tmp_path / "shared.log"
    environment = os.environ | {"JAX_PLATFORMS": "cpu"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "jaxomics",
             *words(data, tmp_path / name, "--storage", str(storage), trials=24)],
            env=environment, stderr=subprocess.PIPE, text=True,
        )
        for name in "ab"
    ]  # fmt: skip
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    one, two = (trials_of(tmp_path / name) for name in "ab")
    assert one.equals(two)
    assert len(one) == 24
    assert one["trial"].is_unique
    assert one["learning_rate"].is_unique
    timing = read_table(tmp_path / "a" / "tables" / "timing.parquet")
    assert set(timing["process"]) == {0, 1}


def joined(data: Path, folder: Path, rates: list[str]) -> list[tuple[int, str, str]]:
    """Exit codes and what was said by two processes that search as one, two devices each."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    flags = "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0"
    environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags}
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "jaxomics", *joint_words(data, folder / f"{number}", rates),
             "--coordinator", f"127.0.0.1:{port}", "--num-processes", "2",
             "--process-id", str(number)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(2)
    ]  # fmt: skip
    try:
        said = [process.communicate(timeout=150) for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [(p.returncode, *texts) for p, texts in zip(processes, said, strict=True)]


def joint_words(data: Path, out: Path, rates: list[str]) -> list[str]:
    """Four trials, two at a time; a setting that decides the program is drawn, too."""
    start = words(data, out, trials=4)[: -len(RATES)]
    start[start.index("--group-size") + 1] = "2"
    del start[start.index("--hidden") : start.index("--hidden") + 2]
    return [*start, "--space-preset", "none", "--space", "hidden=4,4/3", *rates]


@pytest.mark.slow
def test_two_processes_train_every_group_together(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    ended = joined(data, tmp_path, RATES[3:])
    assert [code for code, *_ in ended] == [0, 0], ended
    assert main(joint_words(data, tmp_path / "one", RATES[3:])) == 0
    trains = capsys.readouterr().out.split()[:3]
    assert trains == ["jaxomics", "train", "mosa"]
    assert [" ".join(trains) in told for _, told, _ in ended] == [True, False]
    assert not (tmp_path / "1").exists()
    pd.testing.assert_frame_equal(trials_of(tmp_path / "0"), trials_of(tmp_path / "one"), rtol=1e-4)


@pytest.mark.slow
def test_processes_that_search_together_fail_together(data: Path, tmp_path: Path):
    ended = joined(data, tmp_path, ["learning_rate=1e37,1e38"])
    assert [code for code, *_ in ended] == [2, 2], ended
    for _, _, error in ended:
        assert "expected a trial with finite training, found none" in error
    assert (trials_of(tmp_path / "0")["state"] == "failed").all()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--space", "latnt=1:2"], "unknown setting to search 'latnt'; did you mean 'latent'"),
        (["--space", "learning_rate=1:0.1"], "LOW below HIGH"),
        (["--space", "latent=2:5"], "expected latent as an option or in --space, found both"),
        (["--space", "dropout=0:1.5"], "expected a --dropout from 0 to below 1, found 1.5"),
        (["--space-preset", "publishd"], "unknown search space of mosa 'publishd'"),
        (["--trials", "0"], "expected --trials of at least 1, found 0"),
        (["--group-size", "0"], "expected --group-size of at least 1"),
        (["--storage", "nowhere/study.log"], "expected a file in an existing folder"),
        (["--storage", "sqlite:////nowhere/at/all/s.db"], "cannot be reached"),
        (["--stratify", "organ"], "unknown label column 'organ'"),
        (["--stratify", "site"], "count as one with --pool-rare"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    data: Path, tmp_path: Path, more: list[str], message: str, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "run"
    assert main([*words(data, out)[: -len(RATES)], *more]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert message in error
    assert not out.exists()


def test_a_process_with_other_settings_may_not_join(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    shared = ["--storage", f"sqlite:///{tmp_path}/shared.db"]
    assert main(words(data, tmp_path / "a", *shared, trials=3)) == 0
    assert main(words(data, tmp_path / "b", *shared, "--weight-decay", "0.1", trials=3)) == 2
    assert "was started with other settings" in capsys.readouterr().err
    assert not (tmp_path / "b").exists()


def test_named_spaces_give_way_to_options(data: Path, tmp_path: Path):
    out = tmp_path / "run"
    plain = words(data, out, trials=2)[: -len(RATES)]
    assert main([*plain, "--space-preset", "published", "--space", "dropout=0.1,0.2"]) == 0
    table = trials_of(out)
    assert {"latent", "hidden", "view_latent", "batch_size"}.isdisjoint(table.columns)
    assert set(table["dropout"]) <= {0.1, 0.2}
    assert set(table["schedule"]) == {"plateau"}
    settings = json.loads((out / "settings.json").read_text())
    assert (settings["train"]["valid_fraction"], settings["train"]["stop_patience"]) == (0.2, 10)


def test_every_kind_of_setting_becomes_an_option():
    base = preset("mosa", "recommended")
    changed = best_settings(
        base,
        {"links": False, "view_dropout": 0.25, "stop_patience": 5, "hidden": (0.5, 32.0)},
    )
    assert changes(changed, base) == [
        "--hidden", "0.5", "32", "--no-links", "--view-dropout", "0.25", "--stop-patience", "5",
        "--valid-fraction", "0.2",
    ]  # fmt: skip


def test_without_optuna_the_error_tells_what_to_install(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.delitem(sys.modules, "jaxomics.search.storage")
    with pytest.raises(InputError, match=r"pip install \"jaxomics\[search\]\""):
        sweep("mosa", data, tmp_path / "run", Plan(trials=1))
