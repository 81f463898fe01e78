"""DIABLO against partial least squares, and what its equations promise."""

import numpy as np
import pytest
from sklearn.cross_decomposition import PLSRegression

from jaxomics.comparators import diablo
from jaxomics.comparators.base import Fitted
from jaxomics.errors import InputError

CLASSES = np.array(["a", "b", "c"])[np.arange(60) % 3]


def views(seed: int = 0) -> dict[str, np.ndarray]:
    """Two views that share three factors, one of which tells the classes."""
    random = np.random.default_rng(seed)
    z = random.normal(size=(60, 3))
    z[:, 0] += 2.0 * (np.arange(60) % 3)
    return {
        name: z @ random.normal(size=(3, width)) + random.normal(size=(60, width))
        for name, width in (("x", 12), ("y", 8))
    }


def fit(tables: dict[str, np.ndarray], labels: np.ndarray = CLASSES, **settings) -> Fitted:
    return diablo.METHOD.fit(tables, config=diablo.Config(**settings), labels=labels)


def standard(table: np.ndarray) -> np.ndarray:
    return (table - table.mean(axis=0)) / table.std(axis=0)


def cosines(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(ours, axis=0) * np.linalg.norm(theirs, axis=0)
    return np.abs((ours * theirs).sum(axis=0)) / lengths


def test_one_view_is_partial_least_squares_on_classes():
    table = views()["x"]
    ours = fit({"x": table}, components=4).latent
    theirs = PLSRegression(4, scale=True, tol=1e-12, max_iter=5000)
    scores = theirs.fit(table, standard(np.eye(3)[np.arange(60) % 3])).x_scores_
    assert ours is not None
    np.testing.assert_allclose(cosines(ours, scores), 1.0, atol=1e-3)


def test_unlinked_views_are_partial_least_squares_one_by_one():
    """With two classes Y has one direction, so nothing but a link joins the views."""
    tables, two = views(), np.where(np.arange(60) % 3 == 0, "one", "other")
    y = standard((two == "one")[:, None].astype(float))
    free = fit(tables, two, components=1, link=0.0).latent
    tied = fit(tables, two, components=1, link=5.0).latent
    assert free is not None
    assert tied is not None
    for column, table in enumerate(tables.values()):
        alone = standard(table) @ (standard(table).T @ y)
        np.testing.assert_allclose(cosines(free[:, [column]], alone), 1.0, rtol=1e-9)
        assert cosines(tied[:, [column]], alone)[0] < 0.999
    assert abs(np.corrcoef(tied.T)[0, 1]) > abs(np.corrcoef(free.T)[0, 1])


def test_variates_of_a_view_are_orthogonal_and_directions_have_unit_length():
    found = fit(views(), components=5)
    assert found.latent is not None
    for part in np.split(found.latent, 2, axis=1):
        products = part.T @ part
        off = products - np.diag(np.diag(products))
        assert np.abs(off).max() < 1e-8 * np.diag(products).max()
    for start, stop in found.state["bounds"]:
        lengths = np.linalg.norm(found.state["directions"][start:stop], axis=0)
        np.testing.assert_allclose(lengths, 1.0)


@pytest.mark.parametrize("keep", [1, 3, 7])
def test_a_component_uses_exactly_as_many_features_as_asked_for(keep: int):
    found = fit(views(), components=3, keep=keep)
    for start, stop in found.state["bounds"]:
        used = (found.state["directions"][start:stop] != 0).sum(axis=0)
        np.testing.assert_array_equal(used, keep)


def test_new_samples_are_placed_by_one_product():
    """t = X A (P' A)^-1 where nothing is missing."""
    found, new = fit(views(), components=4, keep=5), views(seed=5)
    rows = found.layout.standardise(found.layout.stack(new))
    placed = found.transform(new)
    for q, (start, stop) in enumerate(found.state["bounds"]):
        a, p = (found.state[name][start:stop] for name in ("directions", "loadings"))
        expected = rows[:, start:stop] @ a @ np.linalg.inv(p.T @ a)
        np.testing.assert_allclose(placed[:, 4 * q : 4 * (q + 1)], expected, rtol=1e-8, atol=1e-8)


def test_a_score_is_a_mean_over_measured_features_and_0_without_the_view():
    tables = views()
    tables["y"][:5] = np.nan
    tables["x"][0, :4] = np.nan
    found = fit(tables, components=2)
    assert found.latent is not None
    np.testing.assert_array_equal(found.latent[:5, 2:], 0.0)
    a = found.state["directions"][:12, 0]
    row = found.layout.standardise(found.layout.stack(tables))[0, 4:12]
    assert found.latent[0, 0] == pytest.approx(row @ a[4:] / (a[4:] ** 2).sum())


def test_classes_of_new_samples_are_found():
    found = fit(views(), components=3)
    new = views()  # the same loadings, other noise
    random = np.random.default_rng(7)
    new = {name: table + random.normal(size=table.shape) for name, table in new.items()}
    said = found.predict(new)
    assert found.classes == ("a", "b", "c")
    assert list(said) == ["x", "y", "all"]
    np.testing.assert_allclose(said["all"].sum(axis=1), 1.0)
    right = {view: np.mean(said[view].argmax(axis=1) == np.arange(60) % 3) for view in said}
    assert right["all"] > 0.7
    absent = found.predict({"x": np.full((1, 12), np.nan)})["all"]
    np.testing.assert_allclose(absent, 1 / 3)


def test_samples_without_a_class_are_left_out():
    tables, labels = views(), CLASSES.astype(object)
    labels[[3, 40]], labels[7] = None, float("nan")
    known = np.array([isinstance(label, str) for label in labels])
    part = fit({name: table[known] for name, table in tables.items()}, CLASSES[known])
    whole = fit(tables, labels)
    np.testing.assert_array_equal(whole.state["directions"], part.state["directions"])
    assert whole.latent is not None
    assert len(whole.latent) == 60


@pytest.mark.parametrize(
    ("labels", "settings", "message"),
    [
        (None, {}, "found none; give one a sample"),
        (CLASSES[:5], {}, "expected 60 labels"),
        (np.full(60, "a"), {}, "expected 2 or more, found a"),
        (CLASSES, {"components": 0}, "components of 1 or more, found 0"),
        (CLASSES, {"link": -1.0}, "link of 0 or more"),
    ],
)
def test_wrong_labels_and_settings_are_refused(labels, settings, message):
    with pytest.raises(InputError, match=message):
        fit(views(), labels, **settings)
