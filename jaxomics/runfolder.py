"""Run folders: everything needed to use a trained model again, on this machine or another."""

import hashlib
import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from jaxomics.comparator import Comparator
from jaxomics.comparators import registry
from jaxomics.config import config_hash, to_json
from jaxomics.data.conditionals import Conditionals
from jaxomics.data.container import MultiOmics
from jaxomics.data.io import read_cohort
from jaxomics.data.preprocess import Preprocess
from jaxomics.engine.checkpoint import load_model, save_model
from jaxomics.errors import InputError
from jaxomics.estimator import Estimator
from jaxomics.inference.cohort import Member
from jaxomics.inference.novelty import Novelty
from jaxomics.inference.outcomes import Outcomes
from jaxomics.inference.residuals import Factors
from jaxomics.methods import is_comparator
from jaxomics.presets.comparators import read_comparator_settings
from jaxomics.presets.settings import read_settings
from jaxomics.version import __version__

PACKAGES = ("jax", "flax", "optax", "orbax-checkpoint", "numpy", "pandas")

Fitted: TypeAlias = Estimator | Comparator
"""What a run folder holds."""


def describe_run(estimator: Fitted, cohort: MultiOmics, data: Path | None) -> dict[str, Any]:
    """Return what identifies a run: settings, seed, versions, path and hash of the input."""
    settings = to_json(estimator.settings)
    return {
        "jaxomics": __version__,
        "versions": {name: version(name) for name in PACKAGES},
        "model": estimator.entry.name,
        "seed": estimator.seed,
        "settings": settings,
        "settings_hash": config_hash(settings),
        "data": {
            "path": None if data is None else str(data.resolve()),
            "views": list(cohort.views),
            "sha256": cohort.digest(),
        },
    }


def describe_start(folder: Path) -> dict[str, str]:
    """Return what identifies a run to go on from: its path, and the hash of its model."""
    model = folder / "checkpoints" / "model.npz"
    digest = hashlib.sha256(model.read_bytes()).hexdigest()
    return {"path": str(folder.resolve()), "sha256": digest}


def start_run(folder: Path, record: dict[str, Any]) -> None:
    """Make a run folder and write its `config.json`, before training starts."""
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "config.json", record)


def same_run(folder: Path, record: dict[str, Any]) -> None:
    """Check that a run to be resumed has these settings and these data.

    Raises:
      InputError: a difference, named.
    """
    found = read_config(folder)
    for what in ("command", "model", "seed", "settings", "cv", "start", "hold_out"):
        if found.get(what) != json.loads(json.dumps(record.get(what))):
            raise InputError(
                f"cannot resume {folder}: its {what} differs from what was asked for; repeat the "
                "command of the run, or start anew with --overwrite"
            )
    if found["data"]["sha256"] != record["data"]["sha256"]:
        raise InputError(
            f"cannot resume {folder}: the data have changed since it started; start anew with "
            "--overwrite"
        )


def finish_run(folder: Path, estimator: Estimator) -> None:
    """Write what using the model needs: parameters, preprocessing, fitted facts."""
    estimator.preprocess_.save(folder / "preprocess")
    estimator.conditionals_.save(folder / "preprocess" / "conditionals.json")
    estimator.outcomes_.save(folder / "preprocess" / "outcomes.json")
    fitted = {
        "label": estimator.label_,
        "classes": list(estimator.classes_),
        "spare": list(estimator.spare_),
        "seen": estimator.seen_,
        "levels": {name: list(pair) for name, pair in estimator.levels_.items()},
        "chromosomes": estimator.chromosomes_,
        "notes": estimator.notes_,
    }
    _write_json(folder / "preprocess" / "fitted.json", fitted)
    save_model(
        folder / "checkpoints" / "model.npz",
        {
            "members": {str(i): m._asdict() for i, m in enumerate(estimator.members_)},
            "factors": {view: f._asdict() for view, f in estimator.factors_.items()},
            "novelty": {view: n._asdict() for view, n in estimator.novelty_.items()},
            "noise": {
                name: {"absent": absent, "hidden": hidden}
                for name, (absent, hidden) in estimator.noise_.items()
            },
        },
    )


def load_run(folder: str | Path) -> Fitted:
    """Return the estimator or comparator of a finished run, ready for its verbs on new samples.

    Raises:
      InputError: not a run folder, or a run that did not finish.
    """
    path = Path(folder)
    record = read_config(path)
    if is_comparator(record.get("model", "")):
        method = registry.get(record["model"])
        settings = read_comparator_settings(method, record["settings"])
        return Comparator(method.name, settings, seed=record["seed"]).restore(path)
    return _load_estimator(path, record)


def _load_estimator(path: Path, record: dict[str, Any]) -> Estimator:
    """Return the estimator of a run with this `config.json`."""
    stored = load_model(path / "checkpoints" / "model.npz")
    settings = read_settings(record["model"], record["settings"])
    estimator = Estimator(settings, model=record["model"], seed=record["seed"])
    estimator.preprocess_ = Preprocess.load(path / "preprocess")
    estimator.conditionals_ = Conditionals.load(path / "preprocess" / "conditionals.json")
    fitted = json.loads((path / "preprocess" / "fitted.json").read_text(encoding="utf-8"))
    estimator.label_ = fitted["label"]
    estimator.classes_ = tuple(fitted["classes"])
    estimator.spare_ = tuple(fitted.get("spare", ()))
    every = {view: list(estimator.classes_) for view in estimator.preprocess_.views}
    estimator.seen_ = fitted.get("seen", every)
    estimator.levels_ = {name: tuple(pair) for name, pair in fitted["levels"].items()}
    estimator.notes_ = fitted["notes"]
    estimator.chromosomes_ = fitted.get("chromosomes", {})
    estimator.outcomes_ = Outcomes.load(path / "preprocess" / "outcomes.json")
    estimator.describe()
    members = stored["members"]
    estimator.members_ = [
        Member(members[key]["params"], members[key].get("collections", {}))
        for key in sorted(members, key=int)
    ]
    estimator.factors_ = {
        view: Factors(np.asarray(f["loading"]), np.asarray(f["noise"]))
        for view, f in stored.get("factors", {}).items()
    }
    estimator.novelty_ = {
        view: Novelty(**{name: np.asarray(value) for name, value in stored_view.items()})
        for view, stored_view in stored.get("novelty", {}).items()
    }
    estimator.noise_ = {
        name: (np.asarray(pair["absent"]), np.asarray(pair["hidden"]))
        for name, pair in stored.get("noise", {}).items()
    }
    return estimator


def training_data(folder: str | Path) -> MultiOmics:
    """Return the data of a run, found by its recorded path and checked by hash.

    Raises:
      InputError: the data are not there any more, or have changed.
    """
    record = read_config(Path(folder))["data"]
    path = record["path"]
    if path is None or not Path(path).exists():
        raise InputError(f"the training data are not at {path}: name them with --data")
    cohort = read_cohort(path, views=record["views"])
    if cohort.digest() != record["sha256"]:
        raise InputError(
            f"the data at {path} have changed since training: name the data with --data to use "
            "them all the same"
        )
    return cohort


def read_config(folder: Path) -> dict[str, Any]:
    """Return `config.json` of a run folder."""
    path = folder / "config.json"
    if not path.exists():
        raise InputError(f"expected a run folder with config.json at {folder}, found none")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise InputError(f"{path} cannot be read ({error}); train anew") from error


def _write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a JSON file, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    temporary.replace(path)
