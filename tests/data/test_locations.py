from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from jaxomics.data.container import MultiOmics
from jaxomics.data.locations import CHROMOSOMES, chromosome_rank, location_order
from jaxomics.data.preprocess import Preprocess, PreprocessConfig, fit_preprocess
from jaxomics.errors import InputError

PROBES = ["cg1", "cg2", "cg3", "cg4", "cg5", "cg6"]


def annotation():
    """cg2 and cg4 are marked, cg4 twice; cg6 is not annotated."""
    return pd.DataFrame(
        {
            "chromosome": ["chr2", "X", "chr2", "10", None],
            "position": [500, 3, 20, 7, 1],
            "snp": [0, 1, 0, 1, np.nan],
            "non_cpg": [False, False, False, True, False],
        },
        index=PROBES[:5],
    )


def cohort(holes=False):
    random = np.random.default_rng(0)
    beta = pd.DataFrame(random.random((40, 6)), columns=PROBES).rename(index="s{:02d}".format)
    beta["cg5"] = 0.5 + 0.01 * beta["cg5"]
    if holes:
        beta.iloc[3, 0] = np.nan
        beta = beta.drop(index="s39")
    rna = pd.DataFrame(random.normal(size=(40, 3)), columns=list("abc")).rename(
        index="s{:02d}".format
    )
    features = {"methylation": annotation()}
    return MultiOmics.from_tables({"methylation": beta, "rna": rna}, features=features)


def config(**changes):
    return PreprocessConfig(**({"encoder_filter": "none", "decimals": None} | changes))


def names(fitted: Preprocess) -> list[str]:
    return fitted.views["methylation"].features.tolist()


def test_every_chromosome_has_its_place_whatever_its_spelling():
    for spelling in (CHROMOSOMES, [f"chr{c}" for c in CHROMOSOMES], [c.lower() for c in "xy"]):
        rank = chromosome_rank(pd.Series(list(spelling)))
        assert (np.diff(rank) == 1).all()
    assert chromosome_rank(pd.Series([1.0, 2.0, np.nan])).tolist() == [0, 1, 24]


def test_order_is_by_chromosome_then_position_and_unknown_last():
    order = location_order(pd.Index(PROBES), annotation(), "methylation")
    assert [PROBES[i] for i in order] == ["cg3", "cg1", "cg4", "cg2", "cg5", "cg6"]


def test_peaks_and_genes_have_other_names_for_their_places():
    peaks = annotation().rename(columns={"chromosome": "chrom", "position": "start"})
    genes = annotation().rename(columns={"chromosome": "chr", "position": "tss"})
    expected = location_order(pd.Index(PROBES), annotation(), "methylation")
    for table in (peaks.assign(end=1000), genes):
        found = location_order(pd.Index(PROBES), table, "atac")
        np.testing.assert_array_equal(found, expected)


def test_the_order_follows_places_where_they_are_known():
    data = cohort()
    ordered, known = (fit_preprocess(data, config(order=o)) for o in ("location", "known"))
    assert names(known) == names(ordered)
    assert known.notes == [
        "view 'rna': no feature table with places on the genome: its features stay in the order "
        "of the table"
    ]
    bare = MultiOmics.from_tables(data.views)
    left = fit_preprocess(bare, config(order="known"))
    assert names(left) == PROBES
    assert len(left.notes) == 2
    peaks = annotation().drop(index="cg5").rename(columns={"chromosome": "chrom"})
    peaks = peaks.assign(start=peaks["position"], end=peaks["position"] + 5)
    holed = MultiOmics.from_tables(data.views, features={"methylation": peaks})
    with pytest.raises(InputError, match="coordinates of all 6 peaks, found none for 2"):
        fit_preprocess(holed, config(order="known"))


def test_features_follow_the_genome_with_their_scaling_and_their_encoder():
    plain = fit_preprocess(cohort(), config())
    ordered = fit_preprocess(cohort(), config(order="location"))
    assert names(plain) == PROBES
    assert names(ordered) == ["cg3", "cg1", "cg4", "cg2", "cg5", "cg6"]
    place = [PROBES.index(name) for name in names(ordered)]
    for field in ("mean", "scale"):
        old, new = (getattr(f.views["methylation"], field) for f in (plain, ordered))
        np.testing.assert_array_equal(new, old[place])
    data = cohort()
    arrays = ordered.arrays(data)["methylation"]
    np.testing.assert_array_equal(arrays[:, 0], data.array("methylation")[:, 2])
    assert ordered.views["rna"].features.tolist() == list("abc")


def test_marked_probes_go_as_a_union_and_each_is_told_why():
    fitted = fit_preprocess(cohort(), config(excluded=("snp", "non_cpg")))
    assert names(fitted) == ["cg1", "cg3", "cg5", "cg6"]
    told = fitted.report.set_index("name")["reason"]
    assert told.to_dict() == {"cg2": "marked as snp", "cg4": "marked as snp, non_cpg"}


def test_a_mark_in_the_table_of_one_view_is_enough():
    data = cohort()
    genes = pd.DataFrame({"chromosome": ["1", "2", "3"]}, index=list("abc"))
    data = replace(data, features={**data.features, "rna": genes})
    fitted = fit_preprocess(data, config(excluded=("snp",)))
    assert names(fitted) == ["cg1", "cg3", "cg5", "cg6"]
    assert fitted.views["rna"].features.tolist() == list("abc")


def test_low_variance_is_judged_on_training_rows():
    data = cohort()
    first = data.samples[:20]
    beta = data.view("methylation")
    beta.loc[first, "cg1"] = 0.3
    changes = config(variance_threshold=0.01)
    everybody = fit_preprocess(data, changes)
    train = fit_preprocess(data, changes, first)
    assert "cg1" in names(everybody)
    assert "cg1" not in names(train)
    assert "cg5" not in names(everybody)
    assert set(train.report["reason"]) == {"variance below 0.01"}


def test_missing_cells_of_measured_samples_become_the_training_mean(tmp_path):
    data = cohort(holes=True)
    fitted = fit_preprocess(data, config(imputed=("methylation",)))
    fitted.save(tmp_path)
    for one in (fitted, Preprocess.load(tmp_path)):
        values = one.arrays(data)["methylation"]
        mean = data.view("methylation")["cg1"].mean()
        assert values[3, 0] == pytest.approx(mean, rel=1e-6)
        assert np.isnan(values[39]).all()
        assert np.isfinite(values[:39]).all()
    assert np.isnan(fitted.arrays(cohort(holes=True))["methylation"][39]).all()
    assert len(Preprocess.load(tmp_path).views["rna"].fill) == len(fitted.views["rna"].features)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"excluded": ("cross_reactive",)}, "unknown mark"),
        ({"excluded": ("chromosome",)}, "truth values"),
        ({"variance_threshold": 5.0}, "vary too little"),
        ({"variance_threshold": -1.0}, "0 or more"),
        ({"order": "alphabet"}, "unknown order"),
    ],
)
def test_wrong_choices_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        fit_preprocess(cohort(), config(**changes))


def test_tables_without_locations_are_named():
    table = annotation()
    with pytest.raises(InputError, match="none with 'position'"):
        location_order(pd.Index(PROBES), table.drop(columns="position"), "m")
    with pytest.raises(InputError, match="found 'here'"):
        location_order(pd.Index(PROBES), table.assign(position="here"), "m")
    with pytest.raises(InputError, match="found none for all 6"):
        location_order(pd.Index(PROBES), table.assign(chromosome="scaffold"), "m")
    bare = MultiOmics.from_tables(cohort().views)
    with pytest.raises(InputError, match="expected feature tables"):
        fit_preprocess(bare, config(order="location"))
