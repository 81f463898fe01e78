"""Fine-tuning: new classes get outputs, old ones keep theirs, and what was seen is remembered."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

from jaxomics.data.container import MultiOmics
from jaxomics.estimator import Estimator
from jaxomics.fitting.training import _state
from jaxomics.inference.labels import UNLABELLED
from jaxomics.presets import Settings, preset
from jaxomics.runfolder import describe_run, finish_run, load_run, start_run

FEATURES, VIEWS = 12, ("x", "y")
MEANS = np.random.default_rng(0).normal(scale=2.0, size=(2, 3, FEATURES))


def cohort(sizes: dict[str, int], seed: int) -> MultiOmics:
    """Unpaired samples: in each view so many of each class."""
    rng = np.random.default_rng(seed)
    tables, labels = {}, {}
    for place, view in enumerate(VIEWS):
        classes = np.repeat(list(sizes), list(sizes.values()))
        names = [f"{view}_{seed}_{i}" for i in range(len(classes))]
        centres = MEANS[place]["abc".index(classes[0]) :][: len(sizes)]
        values = np.repeat(centres, list(sizes.values()), axis=0)
        values = values + 0.7 * rng.normal(size=values.shape)
        tables[view] = pd.DataFrame(values, names, [f"{view}{i}" for i in range(FEATURES)])
        labels |= dict(zip(names, classes, strict=True))
    return MultiOmics.from_tables(tables, pd.DataFrame({"kind": pd.Series(labels)}))


def settings(classes: int = 0) -> Settings:
    """A small network that learns fast."""
    chosen = preset("modis", "recommended")
    return replace(
        chosen,
        config=replace(chosen.config, latent=6, hidden=(16,), discriminator=(16,), classes=classes),
        hyper=chosen.hyper.replace(learning_rate=3e-3),
        train=replace(chosen.train, epochs=30, batch_size=16),
        label="kind",
    )


@pytest.fixture(scope="module", params=[0, 3], ids=["appended", "spare"])
def reference(request: pytest.FixtureRequest) -> Estimator:
    """Trained on two classes, without or with a third output."""
    data = cohort({"a": 120, "b": 120}, seed=1)
    return Estimator(settings(request.param), model="modis", seed=0).fit(data)


def test_a_new_class_gets_an_output_and_is_found(reference: Estimator):
    known = ("a", "b") if not reference.spare_ else ("a", "b", "class 1")
    assert reference.classes_ == known
    assert not reference.novelty_  # nobody has said what the third output stands for
    few = cohort({"a": 120, "b": 120, "c": 8}, seed=2)
    tuned = Estimator(reference.settings, model="modis", seed=0).fit(few, start=reference)
    assert tuned.classes_ == ("a", "b", "c")
    assert not tuned.spare_
    assert "learns class c beside a, b, which it goes on with" in tuned.notes_
    fresh = cohort({"a": 50, "b": 50, "c": 50}, seed=3)
    said = tuned.predict(fresh).set_index("sample")
    right = said["class"] == fresh.labels["kind"].loc[said.index]
    recalls = right.groupby([said["view"], fresh.labels["kind"].loc[said.index]]).mean()
    assert recalls.min() > 0.9, recalls


def test_outputs_of_old_classes_start_as_they_were(reference: Estimator):
    few = cohort({"a": 20, "b": 20, "c": 8}, seed=2)
    tuned = Estimator(reference.settings, model="modis", seed=0)
    tuned.prepare(few, start=reference)
    tuned.describe()
    data = tuned.data(few)
    state = _state(tuned.model_, tuned.job(data), data, jax.random.key(0))
    assert state is not None
    again = _state(tuned.model_, tuned.job(data), data, jax.random.key(1))
    z = jnp.asarray(np.random.default_rng(0).normal(size=(5, 6)), jnp.float32)
    judge, before = tuned.model_.tasks.judge, reference.model_.tasks.judge
    assert judge is not None
    assert before is not None
    logits = np.asarray(judge(state.params, state.collections, z))
    member = reference.members_[0]
    old = np.asarray(before(member.params, member.collections, z))
    assert logits.shape == (5, 3)
    np.testing.assert_allclose(logits[:, : old.shape[1]], old, rtol=1e-6)
    moments = jax.tree.leaves(state.optimizer["discriminator"])
    assert not any(np.any(np.asarray(leaf)) for leaf in moments)
    drawn = np.asarray(judge(again.params, again.collections, z))  # pyright: ignore
    same = np.array_equal(drawn[:, 2], logits[:, 2])
    assert same == bool(reference.spare_)  # fresh columns are drawn by the key


def test_classes_that_new_samples_lack_are_no_novelty(tmp_path):
    three = cohort({"a": 60, "b": 60, "c": 60}, seed=1)
    quick = replace(settings(), train=replace(settings().train, epochs=2))
    base = Estimator(quick, model="modis", seed=0).fit(three)
    start_run(tmp_path / "run", describe_run(base, three, None))
    finish_run(tmp_path / "run", base)
    start = load_run(tmp_path / "run")
    assert isinstance(start, Estimator)
    assert start.seen_ == {"x": ["a", "b", "c"], "y": ["a", "b", "c"]}
    two = cohort({"a": 60, "b": 60}, seed=2)
    tuned = Estimator(quick, model="modis", seed=0).fit(two, start=start)
    assert not tuned.novelty_
    assert not [note for note in tuned.notes_ if "taken for" in note]
    assert any(note.startswith("no new sample is of class c: ") for note in tuned.notes_)
    # Without the run to start from, nothing is known of a class that only the other view has.
    one = two.without_samples("x", two.labels.index[two.labels["kind"] == "b"])
    assert list(Estimator(quick, model="modis", seed=0).fit(one).novelty_) == ["x"]
    # Samples without a label may have been of any class.
    hidden = three.labels["kind"].where(np.arange(len(three.samples)) % 9 > 0)
    partly = replace(three, labels=pd.DataFrame({"kind": hidden}))
    half = Estimator(quick, model="modis", seed=0).fit(partly)
    assert all(seen == [UNLABELLED, "a", "b", "c"] for seen in half.seen_.values())
