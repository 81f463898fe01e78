"""moCluster and principal components against the singular value decomposition."""

import numpy as np
import pytest

from jaxomics.comparators import mocluster, pca
from jaxomics.comparators.base import Fitted
from jaxomics.errors import InputError


def views(samples: int = 40) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    z = random.normal(size=(samples, 3))
    tables = {}
    for name, width, scale in (("a", 25, 1.0), ("b", 15, 100.0)):
        noise = random.normal(size=(samples, width))
        tables[name] = scale * (z @ random.normal(size=(3, width)) + noise)
    return tables


def weighted(tables: dict[str, np.ndarray]) -> np.ndarray:
    """Centred views, each over its largest singular value."""
    centred = [table - table.mean(axis=0) for table in tables.values()]
    return np.concatenate([c / np.linalg.norm(c, 2) for c in centred], axis=1)


def scores(fitted: Fitted) -> np.ndarray:
    assert fitted.latent is not None
    return fitted.latent


def test_dense_components_are_those_of_the_singular_value_decomposition():
    tables = views()
    found = scores(mocluster.METHOD.fit(tables, config=mocluster.Config(components=5)))
    u, s, _ = np.linalg.svd(weighted(tables), full_matrices=False)
    np.testing.assert_allclose(np.linalg.norm(found, axis=0), s[:5], rtol=1e-6)
    cosine = np.abs(np.sum(found * u[:, :5], axis=0)) / s[:5]
    np.testing.assert_allclose(cosine, 1.0, rtol=1e-6)


def test_sparse_components_that_keep_everything_are_the_dense_ones():
    tables = views()
    dense = scores(mocluster.METHOD.fit(tables, config=mocluster.Config(components=3)))
    whole = mocluster.Config(components=3, keep=25)
    sparse = scores(mocluster.METHOD.fit(tables, config=whole))
    cosine = np.abs(np.sum(dense * sparse, axis=0))
    cosine /= np.linalg.norm(dense, axis=0) * np.linalg.norm(sparse, axis=0)
    np.testing.assert_allclose(cosine, 1.0, atol=1e-6)


def test_first_sparse_component_uses_as_many_features_as_asked_for():
    state = mocluster.METHOD.fit(views(), config=mocluster.Config(components=1, keep=4)).state
    used = state["projection"][:, 0] != 0
    assert (used[:25].sum(), used[25:].sum()) == (4, 4)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (mocluster.Config(weighting="frist"), "did you mean 'first'"),  # pyright: ignore
        (mocluster.Config(keep=-1), "found -1"),
    ],
)
def test_wrong_settings_are_refused(config: mocluster.Config, message: str):
    with pytest.raises(InputError, match=message):
        mocluster.METHOD.fit(views(), config=config)


def test_all_principal_components_give_the_table_back():
    tables = views()
    fitted = pca.METHOD.fit(tables)
    for view, table in fitted.reconstruct(tables).items():
        np.testing.assert_allclose(table, tables[view], rtol=1e-8)


def test_principal_components_are_scikit_learns():
    from sklearn.decomposition import PCA

    tables = views()
    standard = np.concatenate([(t - t.mean(0)) / t.std(0) for t in tables.values()], axis=1)
    theirs = PCA(4).fit_transform(standard)
    found = scores(pca.METHOD.fit(tables, config=pca.Config(components=4)))
    np.testing.assert_allclose(np.abs(found), np.abs(theirs), rtol=1e-6)
