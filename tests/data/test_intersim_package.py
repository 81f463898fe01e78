"""InterSIM's data objects: an archive of the same layout is read, others are refused."""

import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from jaxomics.data.intersim_parameters import VIEWS, Parameters, read_parameters, stand_in
from jaxomics.errors import InputError

rdata = pytest.importorskip("rdata")


def write_named(path: Path, name: str, values: np.ndarray, names: list[str] | None) -> None:
    """Write a vector, or a square matrix, as R's `save` does, with names where given."""
    from rdata.conversion.to_r import ConverterFromPythonToR
    from rdata.unparser import unparse_file

    converter = ConverterFromPythonToR()
    data = converter.convert_to_r_data({name: values.ravel(order="F")}, file_type="rda")
    attributes: dict[str, object] = {}
    if values.ndim == 2:
        attributes["dim"] = np.array(values.shape, np.int32)
    if names is not None and values.ndim == 2:
        attributes["dimnames"] = [np.array(names), np.array(names)]
    elif names is not None:
        attributes["names"] = np.array(names)
    if attributes:
        array = data.object.value[0]
        array.attributes = converter.convert_to_r_attributes(attributes)
        array.info.attributes = True
    unparse_file(path / f"{name}.rda", data, file_type="rda", compression="gzip")


def write_objects(folder: Path, parameters: Parameters) -> None:
    """Write the objects of the package; vectors of the proteins in reverse, with names."""
    names = {view: list(parameters.features[view]) for view in VIEWS}
    for view, short in (("methylation", "M"), ("expression", "expr"), ("protein", "protein")):
        step = -1 if view == "protein" else 1
        write_named(folder, f"cov.{short}", parameters.covariance[view], names[view])
        write_named(
            folder, f"mean.{short}", parameters.mean[view][::step].copy(), names[view][::step]
        )
    genes = parameters.features["expression"]
    for name, field, view in (
        ("methyl.gene.level.mean", "regulator", "expression"),
        ("mean.expr.with.mapped.protein", "regulator", "protein"),
        ("rho.methyl.expr", "correlation", "expression"),
        ("rho.expr.protein", "correlation", "protein"),
    ):
        write_named(folder, name, getattr(parameters, field)[view], None)
    for name, view in (
        ("CpG.gene.map.for.DEG", "methylation"),
        ("protein.gene.map.for.DEP", "protein"),
    ):
        owners = list(genes[parameters.gene[view]])
        table = pd.DataFrame({"a": owners, "b": names[view]}).iloc[::-1].reset_index(drop=True)
        rdata.write_rda(folder / f"{name}.rda", {name: table})


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of `.rda` files with stand-in numbers."""
    folder = tmp_path_factory.mktemp("InterSIM") / "data"
    folder.mkdir()
    write_objects(folder, stand_in())
    return folder


def test_the_archive_reads_back(objects: Path, tmp_path: Path):
    archive = tmp_path / "InterSIM_2.3.0.tar.gz"
    with tarfile.open(archive, "w:gz") as file:
        file.add(objects, "InterSIM/data")
    for source in (archive, objects):
        read, written = read_parameters(source), stand_in()
        for field in ("mean", "covariance", "regulator", "correlation", "gene"):
            for view, values in getattr(written, field).items():
                np.testing.assert_array_equal(getattr(read, field)[view], values)
        for view in VIEWS:
            assert list(read.features[view]) == list(written.features[view])


def test_other_archives_are_refused(objects: Path, tmp_path: Path):
    (tmp_path / "a.tar.gz").write_text("no archive")
    with pytest.raises(InputError, match=r"expected an archive InterSIM_\*"):
        read_parameters(tmp_path / "a.tar.gz")
    with pytest.raises(InputError, match=r"found no cov\.M, cov\.expr"):
        read_parameters(tmp_path)
    for file in objects.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    write_named(tmp_path, "cov.M", stand_in().covariance["methylation"], None)
    with pytest.raises(InputError, match=r"cov\.M with names of rows"):
        read_parameters(tmp_path)
