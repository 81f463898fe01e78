import numpy as np
import pandas as pd
import pytest

from jaxomics.data.container import MultiOmics
from jaxomics.data.hold_out import choose_hold_out, read_hold_out, write_hold_out
from jaxomics.data.simulated_bulk import simulate_bulk
from jaxomics.errors import InputError


@pytest.fixture(scope="module")
def data():
    """The sizes of Nagaraj et al. 2023: 800 ATAC samples of 400 donors, 80 of them with RNA."""
    return simulate_bulk(1400, 400, genes=3, peaks=24, cohorts=10, seed=0).cohort


@pytest.fixture(scope="module")
def chosen(data):
    return choose_hold_out(data, seed=1)


def test_the_published_number_of_samples_is_held_out(data, chosen):
    held = chosen.samples
    atac, rna = (held[held.isin(data.view(view).index)] for view in ("atac", "rna"))
    assert len(atac) == 160
    assert len(rna) == pytest.approx(0.2 * len(data.view("rna")), abs=1)
    donor = data.labels["donor"]
    assert set(donor[atac]) <= set(donor[rna])
    assert chosen.notes == ()


def test_donors_are_held_out_whole_and_cohorts_give_their_share(data, chosen):
    table = chosen.table.set_index("sample")
    assert (table.groupby("donor")["held_out"].nunique() == 1).all()
    rna = table.loc[data.view("rna").index]
    share = rna.groupby("stratum")["held_out"].agg(["mean", "sum", "size"])
    assert ((share["sum"] - 0.2 * share["size"]).abs() <= 2).all()
    assert (~table["held_out"]).groupby(table["stratum"]).sum().min() > 0


def test_the_seed_decides(data, chosen):
    assert choose_hold_out(data, seed=1).table.equals(chosen.table)
    assert not choose_hold_out(data, seed=2).table.equals(chosen.table)


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_the_file_is_written_once_and_read_by_all(data, chosen, tmp_path, ending):
    path = tmp_path / f"hold_out.{ending}"
    write_hold_out(chosen, path)
    assert read_hold_out(path, data).equals(data.samples[data.samples.isin(chosen.samples)])
    rna = data.select_views(["rna"])
    found = read_hold_out(path, rna)
    assert set(found) == set(chosen.samples) & set(rna.samples)
    with pytest.raises(InputError, match="exists; choose another name"):
        write_hold_out(chosen, path)


def cohort_of(donor, **labels):
    names = [f"s{i}" for i in range(len(donor))]
    table = pd.DataFrame({"x": np.arange(len(donor), dtype=float)}, index=names)
    return MultiOmics.from_tables({"rna": table}, pd.DataFrame({"donor": donor, **labels}, names))


def test_files_that_do_not_fit_are_refused(tmp_path):
    data = cohort_of(["a", "a", "b", None])
    path = tmp_path / "hold_out.csv"

    def refused(message, **columns):
        pd.DataFrame(columns).to_csv(path, index=False)
        with pytest.raises(InputError, match=message):
            read_hold_out(path, data)

    samples = [f"s{i}" for i in range(4)]
    refused("column 'held_out'", sample=samples)
    refused("found 1 that it does not know, .*'s3'", sample=samples[:3], held_out=[1, 1, 0])
    refused("found 'a' with samples held out", sample=samples, held_out=[1, 0, 0, 0])
    refused("found 4 and 0", sample=samples, held_out=[False] * 4)
    refused("true or false", sample=samples, held_out=["yes"] * 4)


def test_what_is_lacking_is_told():
    bare = MultiOmics.from_tables(cohort_of(list("abcdefghij")).views)
    found = choose_hold_out(bare)
    assert len(found.samples) == 2
    assert found.notes == (
        "no label column 'donor': each sample is its own donor",
        "no label column 'cohort': the hold-out is not balanced",
    )
    apart = simulate_bulk(60, 20, genes=3, peaks=24, cohorts=2, matched=0.0).cohort
    unpaired = choose_hold_out(apart)
    assert unpaired.notes == ("no donor has both atac and rna: others are held out",)
    assert unpaired.samples.isin(apart.view("atac").index).sum() == 8
    few = choose_hold_out(simulate_bulk(60, 20, genes=3, peaks=24, cohorts=2, matched=0.1).cohort)
    assert few.notes == ("atac: 4 of 40 samples are held out",)


def test_a_stratum_keeps_a_donor():
    alone = cohort_of(list("abcdef"), cohort=list("uvwxyz"))
    with pytest.raises(InputError, match="each stratum has a single one"):
        choose_hold_out(alone, 0.5)
    with pytest.raises(InputError, match="share between 0 and 1"):
        choose_hold_out(alone, 1.0)
