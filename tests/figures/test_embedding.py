import numpy as np
import pandas as pd
import pytest

from jaxomics.errors import InputError
from jaxomics.figures.embedding import benchmark_panels


def scores(rows) -> pd.DataFrame:
    names = ["model", "metric", "fold", "value"]
    return pd.DataFrame(rows, columns=pd.Index(names)).assign(mode="latent")


def by_fold(model: str, metric: str, values) -> list:
    return [(model, metric, fold, value) for fold, value in enumerate(values)]


SEVERAL = scores(
    [
        *by_fold("vae:xgboost", "accuracy", [0.8, 0.9]),
        *by_fold("vae:logistic", "accuracy", [0.1, 0.1]),
        *by_fold("pca:xgboost", "accuracy", [0.5, 0.7]),
        ("vae", "grassmann_z", -1, 9.0),
        ("pca", "grassmann_z", -1, 4.0),
        *by_fold("clinical", "uno_c", [0.7, 0.7]),
    ]
)


def widths(axes) -> list[float]:
    return [float(bar.get_width()) for bar in axes.patches]


def test_bars_are_means_with_standard_errors():
    figure = benchmark_panels(SEVERAL)
    accuracy, alignment, survival, differing = figure.axes
    np.testing.assert_allclose(widths(accuracy), [0.85, 0.6])
    assert "by xgboost" in accuracy.get_xlabel()
    texts = [text.get_text() for text in accuracy.texts]
    assert "0.85 ± 0.05" in texts
    assert widths(alignment) == [9.0, 4.0]
    assert widths(survival) == [0.7]
    assert [text.get_text() for text in differing.texts] == ["not scored"]
    names = [label.get_text() for label in accuracy.get_yticklabels()]
    assert names == ["vae", "pca", "clinical"]


def test_a_single_embedding_owns_the_classifiers_without_a_prefix():
    rows = [*by_fold("logistic", "accuracy", [0.5]), ("mine", "grassmann_z", -1, 1.0)]
    figure = benchmark_panels(scores(rows))
    assert widths(figure.axes[0]) == [0.5]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["mine"]


def test_an_empty_table_is_refused():
    with pytest.raises(InputError, match="at least one row"):
        benchmark_panels(SEVERAL[:0])
