"""Every reader on a tiny file in the publisher's layout, then the whole cohort."""

import gzip

import numpy as np
import pandas as pd
import pytest

from jaxomics.data.cohorts import depmap_tables as tables
from jaxomics.data.cohorts.depmap import (
    PAPER_CONDITIONALS,
    Provenance,
    load_depmap,
    provenance,
    validation_truth,
    view_provenance,
)
from jaxomics.data.cohorts.identifiers import TISSUES, Notes, harmonise_tissue, read_sample_sheets
from jaxomics.data.conditionals import ConditionalsConfig, fit_conditionals
from jaxomics.errors import InputError

SANGER_SHEET = """model_id,BROAD_ID,CCLE_ID,COSMIC_ID,model_name,tissue,cancer_type,\
growth_properties,msi_status,model_type
SIDM00001,ACH-000001,AAA_LUNG,905933,AAA,Lung,Carcinoma,Adherent,MSS,Cell Line
SIDM00002,ACH-000002,BBB_SKIN,,BBB,Skin,Melanoma,Suspension,MSI,Cell Line
SIDM00003,,CCC_BONE,,CCC,Bone,Sarcoma,Adherent,MSS,Cell Line
SIDM00189,ACH-000189,,,DDD,Lung,Carcinoma,Adherent,MSS,Cell Line
"""
MODEL_23Q2 = """ModelID,PatientID,StrippedCellLineName,SangerModelID,CCLEName,COSMICID,\
SampleCollectionSite,OncotreeLineage,GrowthPattern
ACH-000001,PT-1,AAA,SIDM00001,AAA_LUNG,905933,skin,Lung,Adherent
ACH-000004,PT-4,EEE,SIDM00004,EEE_COLON,,large_intestine,Bowel,Adherent
ACH-000005,PT-5,FFF,SIDM00005,,,moon_crater,Lung,Suspension
"""
COUNTS = """,TSPAN6 (ENSG00000000003),TNMD (ENSG00000000005),DPM1 (ENSG00000000419)
PR-aaaaaa,10,0,89
PR-bbbbbb,0,0,50
PR-cccccc,1,2,3
PR-dddddd,4,5,6
PR-eeeeee,7,8,9
"""
PROFILES = """ProfileID,ModelID,Datatype
PR-aaaaaa,ACH-000001,rna
PR-bbbbbb,ACH-000002,rna
PR-cccccc,ACH-000001,rna
PR-dddddd,ACH-000004,rna
"""
CRISPR = """,ESS (1),NON (2),BRAF (673)
ACH-000001,-2,0,-1
ACH-000002,-1,1,0
ACH-000099,-1,0,0
"""
GDSC_LONG = """SANGER_MODEL_ID,COSMIC_ID,DRUG_ID,DRUG_NAME,LN_IC50,AUC,MAX_CONC
SIDM00001,905933,2508,Trametinib,-3.0,0.5,2.0
SIDM00001,905933,2508,Trametinib,-5.0,0.6,1.0
SIDM00002,,1909,Venetoclax,1.5,0.9,10.0
"""
CNV = """model_id,symbol,cn_category,source
SIDM00001,TP53,Deletion,Sanger
SIDM00001,TP53,Loss,Broad
SIDM00002,TP53,Neutral,Sanger
SIDM00002,MYC,Amplification,Sanger
SIDM00004,MYC,Gain,Broad
"""
FUSIONS = """model_id,gene_symbol_3prime,gene_symbol_5prime
SIDM00001,FLI1,EWSR1
SIDM00002,FLI1,EWSR1
SIDM00002,FLI1,EWSR1
SIDM00004,ABL1,BCR
"""
GROWTH = """model_id,model_name,day4_day1_ratio,doubling_time_hours,replicates
SIDM00001,AAA,2.0,30,1
SIDM00001,AAA,4.0,50,2
SIDM00002,BBB,5.0,,1
"""


@pytest.fixture
def write(tmp_path):
    def save(name, text):
        path = tmp_path / name
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress(text.encode()))
        else:
            path.write_text(text)
        return path

    return save


@pytest.fixture
def sheet(write):
    paths = write("model_list_20230801.csv", SANGER_SHEET), write("Model.csv", MODEL_23Q2)
    return read_sample_sheets(*paths, Notes())


def test_crispr_effects(write):
    table = tables.read_crispr(write("CRISPRGeneEffect.csv", CRISPR), Notes())
    assert list(table) == ["ESS", "NON", "BRAF"]
    assert table.loc["ACH-000001", "BRAF"] == -1


def test_expected_counts_follow_profiles_to_models(write):
    notes = Notes()
    paths = write("Counts.csv", COUNTS), write("OmicsProfiles.csv", PROFILES)
    table = tables.read_expected_counts(*paths, notes)
    assert list(table) == ["TSPAN6", "TNMD", "DPM1"]
    assert sorted(table.index) == ["ACH-000001", "ACH-000004"]
    np.testing.assert_allclose(
        table.loc["ACH-000001"], np.log2(np.array([10.5, 0.5, 89.5]) / 100 * 1e6)
    )
    reasons = dict(zip(notes.table().name, notes.table().reason, strict=True))
    assert reasons == {
        "PR-bbbbbb": "more than 40 % zero genes",
        "PR-cccccc": "a further profile",
        "PR-eeeeee": "profile without a model",
    }


def test_voom_result_is_turned(write):
    path = write("transcriptomics.csv", ",SIDM00001,ACH-000004\nTP53,1.5,2.5\nMYC,3,4\n")
    table = tables.read_expression(path, Notes())
    assert table.loc["ACH-000004"].tolist() == [2.5, 4.0]


def test_24q4_expression(write):
    name = "OmicsExpressionProteinCodingGenesTPMLogp1.csv"
    table = tables.read_expression(write(name, ",TP53 (7157)\nACH-000001,4.5\n"), Notes())
    assert table.loc["ACH-000001", "TP53"] == 4.5


def test_later_expression_takes_the_default_entry(write):
    text = """,SequencingID,ModelID,IsDefaultEntryForModel,ModelConditionID,\
IsDefaultEntryForMC,TP53 (7157)
0,CDS-1,ACH-000001,Yes,MC-1,Yes,4.5
1,CDS-2,ACH-000001,No,MC-2,Yes,9.0
"""
    table = tables.read_expression(write("OmicsExpressionTPMLogp1HumanX.csv", text), Notes())
    assert table.to_dict("index") == {"ACH-000001": {"TP53": 4.5}}


def test_repeated_symbols_are_noted(write):
    notes = Notes()
    text = ",PINX1 (54984),PINX1 (99)\nACH-000001,1,2\n"
    assert tables.read_crispr(write("x.csv", text), notes).loc["ACH-000001"].tolist() == [1]
    assert notes.table().name.tolist() == ["PINX1 (99)"]


def test_sample_sheets_sanger_first(sheet):
    assert sheet.models.index.tolist() == ["SIDM00001", "SIDM00002", "SIDM00004", "SIDM00005"]
    assert sheet.models.tissue.tolist() == ["Lung", "Skin", "Large Intestine", "Unknown"]
    assert sheet.models.loc["SIDM00001", "growth_pattern"] == "Adherent"  # from DepMap's sheet
    assert sheet.ids["ACH-000004"] == sheet.ids["EEE_COLON"] == "SIDM00004"
    assert sheet.ids["905933"] == "SIDM00001"


def test_tissues_that_cannot_be_mapped_are_noted():
    notes = Notes()
    sites = ["upper_aerodigestive_tract", "haematopoietic_and_lymphoid_tissue", "bone_marrow", "x"]
    harmonised = harmonise_tissue(pd.Series([*sites, "x"]), notes)
    assert harmonised.tolist() == [
        "Other tissue", "Haematopoietic and Lymphoid", "Other tissue", "Unknown", "Unknown"
    ]  # fmt: skip
    assert notes.rows == [("labels", "tissue", "x", "not mapped in 2 rows: Unknown")]
    assert set(harmonised) <= set(TISSUES)
    assert len(TISSUES) == 31


def test_older_sheet_names_are_known(write):
    text = "DepMap_ID,Sanger_Model_ID,sample_collection_site,OncotreeLineage\nACH-1,SIDM1,lung,L\n"
    read = read_sample_sheets(None, write("Model.csv", text), Notes())
    assert read.models.loc["SIDM1", "tissue"] == "Lung"


def test_a_sheet_without_ids_is_refused(write):
    with pytest.raises(InputError, match=r"Model\.csv: expected the columns.*found no model_id"):
        read_sample_sheets(None, write("Model.csv", "ModelID,tissue\nACH-1,Lung\n"), Notes())


def test_duplicates_are_a_decision(sheet):
    table = pd.DataFrame({"g": [1.0, 3.0, 5.0]}, index=["ACH-000001", "SIDM00001", "nobody"])
    notes = Notes()
    assert sheet.rename(table, "v", notes).g.to_dict() == {"SIDM00001": 1.0}
    assert notes.table().name.tolist() == ["nobody", "SIDM00001"]
    assert sheet.rename(table, "v", Notes(), "mean").g.to_dict() == {"SIDM00001": 2.0}
    with pytest.raises(InputError, match="expected one row for 'SIDM00001'"):
        sheet.rename(table, "v", Notes(), "error")


def test_long_drug_responses(write):
    path = write("GDSC2_fitted_dose_response_24Jul22.csv", GDSC_LONG)
    table = tables.read_drug_response(path)
    assert list(table) == ["1909;Venetoclax;GDSC2", "2508;Trametinib;GDSC2"]
    assert table.loc["SIDM00001", "2508;Trametinib;GDSC2"] == -4.0
    assert tables.read_max_concentration(path)["2508;Trametinib;GDSC2"] == 2.0
    with pytest.raises(InputError, match="DATASET"):
        tables.read_drug_response(write("drugs.csv", GDSC_LONG))


def test_wide_drug_responses(write):
    text = ",SIDM00001,SIDM00002\n2508;Trametinib;GDSC2,-3,\n1909;Venetoclax;GDSC2,1,2\n"
    table = tables.read_drug_response(write("drugresponse.csv.gz", text))
    assert table.loc["SIDM00002"].isna().tolist() == [True, False]


def test_drug_targets(write):
    text = "drug,putative_gene_target\n2508;Trametinib;GDSC2,MAP2K1;MAP2K2\n"
    assert tables.read_drug_targets(write("t.csv", text)).tolist() == ["MAP2K1;MAP2K2"]


@pytest.mark.parametrize("text", [",SIDM00001,SIDM00002\nTP53,0.5,\n", ",TP53\nSIDM00001,0.5\n"])
def test_matrices_are_turned_to_lines_in_rows(write, text):
    table = tables.read_matrix(write("methylation.csv", text))
    assert table.loc["SIDM00001", "TP53"] == 0.5


def test_metabolomics_by_ccle_name(write, sheet):
    text = ",AAA_LUNG,BBB_SKIN\nserine,1,2\n"
    table = tables.read_matrix(write("metabolomics.csv", text), set(sheet.ids))
    assert sheet.rename(table, "metabolomics", Notes()).serine.to_dict() == {
        "SIDM00001": 1,
        "SIDM00002": 2,
    }
    with pytest.raises(InputError, match="cell-line ids"):
        tables.read_matrix(write("metabolomics.csv", text))


def test_copy_number(write):
    table = tables.read_copy_number(write("cnv_summary_20230801.csv", CNV))
    assert table.loc["SIDM00001", "TP53"] == -2
    assert table.loc["SIDM00002"].to_dict() == {"MYC": 2, "TP53": 0}
    with pytest.raises(InputError, match="found no cn_category"):
        tables.read_copy_number(write("x.csv", "model_id,symbol\nSIDM00001,TP53\n"))


def test_mutations_count_lines_over_the_file(write):
    rows = [f"SIDM{i:05},BRAF,True\nSIDM{i:05},BRAF,True" for i in range(15)]
    rows += [f"SIDM{i:05},KRAS,True" for i in range(14)] + ["SIDM00099,KRAS,False"]
    text = "model_id,gene_symbol,cancer_driver\n" + "\n".join(rows) + "\n"
    table = tables.read_mutations(write("mutations_summary_20230202.csv", text))
    assert list(table) == ["BRAF"]
    assert table.loc["SIDM00099", "BRAF"] == 0
    assert table["BRAF"].sum() == 15


def test_fusions(write):
    table = tables.read_fusions(write("Fusions_20230725.txt", FUSIONS), min_lines=2)
    assert table["FLI1_EWSR1"].to_dict() == {"SIDM00001": 1, "SIDM00002": 1, "SIDM00004": 0}
    assert list(table) == ["FLI1_EWSR1"]


def test_growth_is_averaged(write):
    table = tables.read_growth(write("growth_rate_20220907.csv", GROWTH))
    assert table.loc["SIDM00001"].tolist() == [3.0, 40.0]


def test_gene_sets_are_tab_separated(write):
    path = write("EssentialGenes.csv", "gene\tentrez\nRPL3\t6122\nPOLR2A\t5430\n")
    assert tables.read_gene_set(path) == ["POLR2A", "RPL3"]
    with pytest.raises(InputError, match="tab-separated"):
        tables.read_gene_set(write("x.csv", "gene,entrez\nRPL3,6122\n"))


def test_ctd2_keeps_the_last_of_a_name(write):
    path = write("ctd2.csv.gz", ",AAA_LUNG\nTrametinib,1\ntrametinib,2\n")
    assert tables.read_ctd2(path, {"AAA_LUNG"}).loc["AAA_LUNG"].to_dict() == {"TRAMETINIB": 2}


def test_predictability(write):
    path = write("p.csv", "gene,model,pearson,best\nBRAF (673),RNA,0.7,True\nA (1),RNA,0.1,False\n")
    table = tables.read_predictability(path)
    assert table.gene.tolist() == ["BRAF", "A"]
    assert table.best.tolist() == [True, False]


def test_released_tables(write):
    path = write("20231023_092657_imputed_proteomics.csv.gz", ",A1BG\nSIDM00001,0.12345\n")
    table = tables.read_released(path)
    assert table.loc["SIDM00001", "A1BG"] == 0.12345
    assert provenance(path, table) is Provenance.SYNTHETIC
    latent = write("20231023_092657_latent_joint.csv.gz", ",Latent_1,Latent_2\nSIDM00001,1,2\n")
    assert list(tables.read_released(latent)) == ["Latent_1", "Latent_2"]


@pytest.mark.parametrize("turned", [False, True])
def test_complete_methylation_of_that_shape_is_synthetic(turned):
    values = np.zeros((1523, 14608), np.int8)
    table = pd.DataFrame(values.T if turned else values)
    assert provenance("methylomics.csv", table) is Provenance.SYNTHETIC
    assert provenance("methylomics.csv", table.iloc[1:]) is Provenance.MEASURED


def test_a_hole_makes_methylation_measured():
    values = np.zeros((1523, 14608), np.float32)
    values[3, 5] = np.nan
    assert provenance("methylation.csv", pd.DataFrame(values)) is Provenance.MEASURED


@pytest.fixture
def folder(tmp_path, write):
    for name, text in {
        "model_list_20230801.csv": SANGER_SHEET,
        "Model.csv": MODEL_23Q2,
        "OmicsExpressionGenesExpectedCountProfile.csv": COUNTS,
        "OmicsProfiles.csv": PROFILES,
        "OmicsExpressionProteinCodingGenesTPMLogp1.csv": ",TP53 (7157)\nACH-000001,4.5\n",
        "CRISPRGeneEffect.csv": CRISPR,
        "EssentialGenes.csv": "gene\tid\nESS\t1\n",
        "NonessentialGenes.csv": "gene\tid\nNON\t2\n",
        "GDSC2_fitted_dose_response_24Jul22.csv": GDSC_LONG,
        "GDSC1_fitted_dose_response_24Jul22.csv": GDSC_LONG,
        "drug_targets.csv": "id,putative_gene_target\n2508;Trametinib;GDSC2,MAP2K1\n",
        "cnv_summary_20230801.csv": CNV,
        "mutations_summary_20230202.csv": "model_id,gene_symbol,cancer_driver\n"
        + "".join(f"SIDM{i:05},BRAF,True\n" for i in range(2, 20)),
        "Fusions_20230725.txt": FUSIONS,
        "growth_rate_20220907.csv": GROWTH,
    }.items():
        write(name, text)
    return tmp_path


def test_the_cohort_of_23q2(folder):
    data = load_depmap(folder)
    assert list(data.views) == [
        "drugresponse", "crisprcas9", "transcriptomics", "copynumber", "mutations"
    ]  # fmt: skip
    assert list(data.samples) == ["SIDM00001", "SIDM00002", "SIDM00004"]
    assert data.views["crisprcas9"].loc["SIDM00002"].tolist() == [-1.0, 0.0, -0.5]
    assert "TSPAN6" in data.views["transcriptomics"]
    assert data.views["drugresponse"].shape == (2, 4)
    targets = data.features["drugresponse"]["putative_gene_target"]
    assert targets["2508;Trametinib;GDSC2"] == "MAP2K1"
    left_out = data.dropped.set_index("name").reason
    assert left_out["ACH-000099"] == "in no sample sheet"
    assert left_out["moon_crater"].startswith("not mapped")
    assert left_out["SIDM00189"] == "removed by hand"


def test_the_cohort_of_24q4_prefers_tpm(folder):
    assert list(load_depmap(folder, "24Q4").views["transcriptomics"]) == ["TP53"]


def test_the_published_conditionals(folder):
    data = load_depmap(folder)
    fitted = fit_conditionals(data, ConditionalsConfig(PAPER_CONDITIONALS))
    assert len(fitted.names) == 31 + 2 + 1 + 1
    assert fitted.names[:31] == tuple(f"tissue={tissue}" for tissue in TISSUES)
    matrix = pd.DataFrame(fitted.apply(data), data.samples, pd.Index(fitted.names))
    assert matrix["msi"].tolist() == [0, 1, 0]
    assert matrix["BRAF"].tolist() == [0, 1, 1]
    assert matrix["day4_day1_ratio"].tolist() == [-1, 1, 0]
    assert matrix["tissue=Large Intestine"].tolist() == [0, 0, 1]


def test_fusions_on_request(folder, write):
    lines = [f"SIDM0000{i},FLI1,EWSR1\n" for i in range(5)]
    write("Fusions_20230725.txt", FUSIONS.splitlines()[0] + "\n" + "".join(lines))
    assert load_depmap(folder, fusions=True).views["fusions"]["FLI1_EWSR1"].tolist() == [1, 1, 1]


def test_unscaled_effects_are_noted(folder):
    (folder / "EssentialGenes.csv").unlink()
    data = load_depmap(folder)
    assert data.views["crisprcas9"].loc["SIDM00001"].tolist() == [-2, 0, -1]
    assert "not scaled: no reference gene sets" in set(data.dropped.reason)


def test_model_output_is_refused_as_truth(folder, write):
    write("run_imputed_proteomics.csv.gz", ",A1BG\nSIDM00001,0.1\nSIDM00002,0.2\n")
    data = load_depmap(folder, files={"proteomics": "run_imputed_proteomics.csv.gz"})
    assert view_provenance(data, "proteomics") is Provenance.SYNTHETIC
    with pytest.raises(InputError, match="MOSA's own output"):
        validation_truth(data, "proteomics")
    assert len(validation_truth(data, "proteomics", allow_synthetic=True)) == 2
    assert validation_truth(data, "drugresponse").shape == (2, 4)


def test_errors_say_what_to_do(folder, tmp_path):
    with pytest.raises(InputError, match="unknown release '23Q3'; did you mean '23Q2'"):
        load_depmap(folder, "23Q3")
    with pytest.raises(InputError, match="unknown content 'rna'"):
        load_depmap(folder, files={"rna": "x.csv"})
    with pytest.raises(InputError, match="expected the file"):
        load_depmap(folder, files={"proteomics": "x.csv"})
    (folder / "OmicsProfiles.csv").unlink()
    with pytest.raises(InputError, match="profiles cannot be mapped"):
        load_depmap(folder)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InputError, match="expected a sample sheet"):
        load_depmap(empty)
    with pytest.raises(InputError, match="no folder"):
        load_depmap(tmp_path / "nowhere")
