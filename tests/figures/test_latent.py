import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from jaxomics.figures.latent import latent_scatter, principal_components
from jaxomics.figures.style import png


def latent(samples: int, dims: int) -> pd.DataFrame:
    values = np.random.default_rng(0).standard_normal((samples, dims))
    return pd.DataFrame(values, index=pd.Index([f"s{i}" for i in range(samples)])).add_prefix("z")


def offsets(points) -> np.ndarray:
    return np.asarray(points.get_offsets())


def legend(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].get_legend().get_texts()]


def test_components_are_those_of_sklearn_up_to_sign():
    values = latent(30, 6).to_numpy()
    points, share = principal_components(values)
    pca = PCA(2).fit(values)
    np.testing.assert_allclose(np.abs(points), np.abs(pca.transform(values)), atol=1e-10)
    np.testing.assert_allclose(share, pca.explained_variance_ratio_)


def test_two_columns_are_drawn_as_they_are():
    table = latent(10, 2).rename(columns={"z0": "UMAP 1", "z1": "UMAP 2"})
    axes = latent_scatter(table).axes[0]
    np.testing.assert_allclose(offsets(axes.collections[0]), table.to_numpy())
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("UMAP 1", "UMAP 2")


def test_more_columns_name_the_variance():
    axes = latent_scatter(latent(10, 5)).axes[0]
    assert axes.get_xlabel().startswith("PC1 (")
    assert axes.get_xlabel().endswith("% of variance)")


def test_forty_groups_become_twelve_and_a_rest():
    table = latent(200, 3)
    groups = [f"tissue {i % 40}" for i in range(190)] + [None] * 10
    labels = pd.Series(groups, index=table.index, name="tissue")
    figure = latent_scatter(table, labels)
    names = legend(figure)
    assert len(names) == 14
    assert names[0] == "tissue 0 (5)"
    assert names[-2:] == ["other: 28 groups (130)", "not recorded (10)"]
    assert sum(len(offsets(points)) for points in figure.axes[0].collections) == 200
    png(figure, dpi=30)


def test_labels_are_matched_by_sample_not_by_position():
    table = latent(4, 2)
    labels = pd.Series(["b", "a", "a", "a"], index=["s3", "s2", "s1", "s0"])
    figure = latent_scatter(table, labels)
    assert legend(figure) == ["a (3)", "b (1)"]
    np.testing.assert_allclose(offsets(figure.axes[0].collections[1]), table.loc[["s3"]])


@pytest.mark.parametrize("shape", [(1, 5), (5, 1)])
def test_one_sample_and_one_dimension(shape):
    figure = latent_scatter(latent(*shape))
    assert len(offsets(figure.axes[0].collections[0])) == shape[0]
    assert png(figure, dpi=30)


def test_incomplete_rows_are_left_out_and_none_is_an_error():
    table = latent(5, 3)
    table.iloc[0, 0] = np.nan
    assert len(offsets(latent_scatter(table).axes[0].collections[0])) == 4
    with pytest.raises(ValueError, match="none complete"):
        latent_scatter(table * np.nan)
