import json

import numpy as np
import pandas as pd
import pytest
from running import run_script
from scipy.stats import ks_2samp
from simulating import BOX, PLAIN, nuclei, tissue
from sketchscope.errors import InputError
from sketchscope.images.manifest import ManifestRow, name_plane_file, write_manifest
from sketchscope.io.atomic import write_json
from sketchscope.io.images import write_image
from sketchscope.masks import shapes

NUCLEI = {
    **{"diameter_cv": 0.2, "elongation": 1.5, "elongation_sd": 0.2, "flatness": 1.0, "roughness": 0.0},
    **{"cluster_fraction": 0.2, "cluster_gap_um": 2.0, "layer_um": None},
}
SPACING = {2: (0.5, 0.5), 3: (1.0, 0.5, 0.5)}


def boxes(shape, *slices):
    labels = np.zeros(shape, np.uint16)
    for label, part in enumerate(slices, start=1):
        labels[part] = label
    return labels


def test_measures_in_2d():
    labels = boxes((60, 80), np.s_[10:20, 10:30], np.s_[30:40, 30:50], np.s_[0:4, 60:80])
    cells, density = shapes.measure_population(labels, (0.5, 0.25), 2.0)
    assert cells["label"].tolist() == [1, 2], "the centre of the third is 1 micrometre from the border"
    assert cells["area"].tolist() == [25, 25]
    assert cells["diameter"].tolist() == pytest.approx([2 * np.sqrt(25 / np.pi)] * 2)
    assert cells["elongation"].tolist() == pytest.approx([1.0] * 2, abs=0.02), "squares in micrometres"
    assert cells["eccentricity"].tolist() == pytest.approx([0] * 2, abs=0.2)
    assert cells["neighbour"].tolist() == pytest.approx([np.hypot(10, 5)] * 2)
    assert density == pytest.approx(2 / (26 * 16) * 1e4)


def test_measures_in_3d():
    labels = boxes((4, 40, 40), np.s_[0:2, 10:20, 10:20], np.s_[1:4, 20:25, 10:30])
    cells, density = shapes.measure_population(labels, (2.0, 0.5, 0.5), 0.0)
    assert cells["volume"].tolist() == [2 * 100 * 0.5, 3 * 100 * 0.5]
    assert cells["height"].tolist() == [4, 6]
    assert cells["area"].tolist() == [25, 25]
    assert cells["elongation"].tolist() == pytest.approx([1, 4], rel=0.03)
    assert cells["eccentricity"][1] == pytest.approx(np.sqrt(1 - 1 / 16), rel=0.01)
    assert cells["neighbour"].tolist() == pytest.approx([np.sqrt(3**2 + 3.75**2 + 2.5**2)] * 2)
    assert density == pytest.approx(2 / (8 * 20 * 20) * 1e6)


def test_a_single_cell_an_empty_image_and_no_room():
    cells, density = shapes.measure_population(boxes((20, 20), np.s_[5:9, 5:9]), (1, 1), 2)
    assert len(cells) == 1
    assert np.isnan(cells["neighbour"][0])
    cells, density = shapes.measure_population(np.zeros((20, 20), np.uint16), (1, 1), 2)
    assert (len(cells), density) == (0, 0)
    assert np.isnan(shapes.measure_population(np.zeros((20, 20), np.uint16), (1, 1), 10).density)


def tables(*areas):
    """Images of which the cells have these areas, synthetic and real."""
    found = {}
    for source, values in zip(("synthetic", "real"), areas, strict=True):
        columns = {"area": values, "eccentricity": 0.5, "neighbour": 1.0}
        cells = pd.DataFrame(columns, index=range(len(values))).assign(label=1)
        found[source] = {"0000": shapes.Population(cells, 2.0 + len(values))} if len(values) else {}
    return shapes.tabulate_populations(found)


def test_distances_have_closed_forms():
    rng = np.random.default_rng(1)
    ours, real = rng.normal(12, 2, 40), rng.normal(10, 2, 40)
    comparison = shapes.compare_shapes(*tables(ours, real), 2).set_index("measure")
    assert list(comparison.index) == list(shapes.list_measures(2))
    area = comparison.loc["area"]
    # of samples of one size, the distance of Wasserstein is the mean difference of their order statistics
    assert area["wasserstein"] == pytest.approx(np.abs(np.sort(ours) - np.sort(real)).mean())
    assert area["relative"] == pytest.approx(area["wasserstein"] / real.mean())
    points = np.concatenate([ours, real])
    steps = [(sample[:, None] <= points).mean(axis=0) for sample in (ours, real)]
    assert area["ks"] == pytest.approx(np.abs(steps[0] - steps[1]).max()) == ks_2samp(ours, real).statistic
    assert (area["synthetic_median"], area["real_sd"]) == pytest.approx((np.median(ours), real.std(ddof=1)))
    assert comparison.loc["eccentricity", "ks"] == comparison.loc["eccentricity", "wasserstein"] == 0


def test_nothing_to_compare_with():
    comparison = shapes.compare_shapes(*tables([1.0, 2.0], []), 2).set_index("measure")
    assert comparison["real_n"].tolist() == [0] * 4
    assert comparison[["ks", "wasserstein", "relative", "real_mean"]].isna().all().all()
    assert comparison.loc["area", "synthetic_mean"] == 1.5


@pytest.mark.parametrize("ndim", [2, 3])
def test_fit_finds_the_numbers_of_the_simulation(ndim):
    """Masks stand for a segmentation; many small images, so that a bias by their borders would show."""
    shape, diameter, density = {2: ((200, 200), 8.0, 40.0), 3: ((30, 120, 120), 8.0, 300.0)}[ndim]
    spacing = SPACING[ndim]
    populations = []
    for seed in range({2: 40, 3: 30}[ndim]):
        rng = np.random.default_rng(seed)
        labels = nuclei(shape, spacing, rng, diameter=diameter, density=density, **NUCLEI)
        populations.append(shapes.measure_population(labels, spacing, diameter / 2))
    fit = shapes.fit_nuclei(populations)
    assert fit["density"] == pytest.approx(density, rel=0.1)
    assert fit["diameter"] == pytest.approx(diameter, rel=0.05)
    # in 3D, cells that the first and last slice cut look smaller
    assert fit["diameter_cv"] == pytest.approx(0.2, abs=0.05 if ndim == 2 else 0.1)
    assert fit["elongation"] == pytest.approx(1.5, rel=0.1)
    assert fit["elongation_sd"] == pytest.approx(0.2, abs=0.1)


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("spacing", [None, 12.0])
def test_fit_finds_the_spacing(ndim, spacing):
    shape, density = {2: ((250, 250), 30.0), 3: ((40, 120, 120), 200.0)}[ndim]
    numbers = NUCLEI | {"diameter": 8.0, "density": density, "cluster_fraction": 0.0, "spacing_um": spacing}
    masks = [nuclei(shape, SPACING[ndim], np.random.default_rng(seed), **numbers) for seed in range(5)]
    fit = shapes.fit_nuclei([shapes.measure_population(labels, SPACING[ndim], 4.0) for labels in masks])
    assert fit["spacing_um"] == (None if spacing is None else pytest.approx(spacing, rel=0.12))
    assert ("cluster_fraction" in fit) == (spacing is not None)


def test_a_few_cells_that_lie_apart_by_chance_have_no_spacing():
    """Twenty cells in 400,000 square micrometres: none is near to another, as one would expect."""
    places = np.random.default_rng(0).exponential(20.0, 20) + 25
    assert shapes.fit_spacing(pd.Series(places), 8.0, 5e-5, 2) is None
    assert shapes.fit_spacing(pd.Series(places[:9]), 8.0, 5e-3, 2) is None
    assert shapes.fit_spacing(pd.Series(places), 8.0, 5e-3, 2) == pytest.approx(25, rel=0.15)


@pytest.mark.parametrize("ndim", [2, 3])
def test_fit_of_tissue(ndim):
    shape, diameter = {2: ((300, 300), 10.0), 3: ((40, 120, 120), 10.0)}[ndim]
    labels = tissue(shape, SPACING[ndim], np.random.default_rng(1), diameter=diameter, diameter_cv=0.1)
    fit = shapes.fit_tissue([shapes.measure_population(labels, SPACING[ndim], diameter / 2)])
    assert set(fit) == {"diameter", "diameter_cv"}
    assert fit["diameter"] == pytest.approx(diameter, rel=0.15)


def test_too_few_cells_to_fit():
    population = shapes.measure_population(boxes((20, 20), np.s_[5:9, 5:9]), (1, 1), 2)
    with pytest.raises(
        InputError, match=r"^simulation.fit: the rough segmentation found 1 cells away .* 1 images; 10 "
    ):
        shapes.fit_nuclei([population])


def row(name, split, shape):
    numbers = {"voxel_size": SPACING[len(shape)], "low": 0.0, "high": 1000.0, "gamma": 1.0, "labelled": True}
    return ManifestRow(name, split, "a.tif", 0, shape, "uint16", **numbers)


@pytest.mark.parametrize(
    ("shape", "labelled"), [((120, 120), "whole"), ((8, 80, 80), "whole"), ((8, 80, 80), "plane"), ((120, 120), "no")]
)
def test_scripts_compare_and_draw(tmp_path, shape, labelled):
    ndim = len(shape)
    write_manifest(tmp_path / "manifest.csv", [row("0000", "train", shape), row("0001", "test", shape)])
    density = {2: 60.0, 3: 1500.0}[ndim]
    for index, name in enumerate(("masks/batch_000/volume_0000", "masks/batch_001/volume_0001", "labels/0001")):
        rng = np.random.default_rng(index)
        labels = nuclei(shape, SPACING[ndim], rng, diameter=6.0, density=density, **NUCLEI)
        if not name.startswith("labels") or labelled == "whole":
            write_image(tmp_path / f"{name}.ome.tif", labels, SPACING[ndim])
    (tmp_path / "labels").mkdir(exist_ok=True)
    if labelled == "plane":
        write_image(tmp_path / "labels" / name_plane_file("0001", 2), labels[2], SPACING[ndim][1:])
    names = ("cells", "images", "comparison")
    files = {name: str(tmp_path / f"{name}.csv") for name in names}
    inputs = {"labels": str(tmp_path / "labels"), "manifest": str(tmp_path / "manifest.csv")}
    inputs["masks"] = [str(tmp_path / f"masks/batch_00{batch}") for batch in range(2)]
    run_script("compare_shapes", tmp_path, inputs=inputs, outputs=files, params={"cell_diameter": 6.0, "border": 10})
    cells, images, comparison = (pd.read_csv(files[name]) for name in names)
    assert images["source"].tolist() == ["synthetic"] * 2 + ["real"] * (labelled == "whole")
    assert set(cells["source"]) == ({"synthetic", "real"} if labelled == "whole" else {"synthetic"})
    assert comparison["ks"].notna().all() == (labelled == "whole")
    assert images["cells"].sum() == len(cells)
    run_script("plot_shapes", tmp_path, inputs=files, outputs={"figure": str(tmp_path / "shapes.png")})
    assert (tmp_path / "shapes.png").stat().st_size > 5000


def test_scripts_fit_and_simulate(tmp_path):
    """Round nuclei whose image is segmented roughly; the simulation takes what was found."""
    shape = (320, 320)
    numbers = NUCLEI | {"cluster_fraction": 0.0, "diameter_cv": 0.1, "elongation": 1.2, "elongation_sd": 0.1}
    rng = np.random.default_rng(3)
    labels = nuclei(shape, (0.5, 0.5), rng, diameter=8.0, density=40.0, **numbers)
    write_image(tmp_path / "images/0000.ome.tif", np.where(labels, 800, 100).astype(np.uint16), (0.5, 0.5))
    write_manifest(tmp_path / "manifest.csv", [row("0000", "train", shape)])
    classical = {"sigma": None, "min_contrast": 5.0, "edge": 0.4, "split": 0.15, "min_height": 0.03, "min_size": 0.1}
    inputs = {"images": str(tmp_path / "images"), "manifest": str(tmp_path / "manifest.csv")}
    params = {"stain": "nuclei", "cell_diameter": 9.0, "settings": classical, "split": "typical"}
    rough = str(tmp_path / "rough")
    run_script("segment_classical", tmp_path, inputs=inputs, outputs={"predictions": rough}, params=params)
    inputs, params = {"rough": rough, "manifest": inputs["manifest"]}, {"simulator": "nuclei", "cell_diameter": 9.0}
    run_script("fit_simulation", tmp_path, inputs=inputs, outputs={"fit": str(tmp_path / "fit.json")}, params=params)
    fit = json.loads((tmp_path / "fit.json").read_text())
    assert fit["images"] == 1
    truth = shapes.measure_population(labels, (0.5, 0.5), 4.5)
    assert fit["cells"] == pytest.approx(len(truth.cells), rel=0.1)
    expected = shapes.fit_nuclei([truth])
    assert fit["simulation"]["diameter"] == pytest.approx(expected["diameter"], rel=0.03)
    assert fit["simulation"]["density"] == pytest.approx(expected["density"], rel=0.1)

    fit["simulation"]["density"] = 1e-9
    write_json(tmp_path / "none.json", fit)
    simulation = PLAIN | {"specimen": BOX._asdict()} | numbers
    simulation = {key: value for key, value in simulation.items() if key not in fit["simulation"]}
    keywords = {"settings": simulation, "cell_diameter": 9.0, "simulator": "nuclei", "seed": 1}
    keywords |= {"volume_shape": [64, 64], "volume_format": "tiff", "volumes": {"volume_0000": 0}}

    def simulate(name):
        run_script(
            "simulate_masks",
            tmp_path,
            inputs={"manifest": inputs["manifest"], "fit": [str(tmp_path / f"{name}.json")]},
            outputs={"masks": str(tmp_path / name), "census": str(tmp_path / f"{name}-census.json")},
            params=keywords,
        )
        return (tmp_path / "logs/simulate_masks.log").read_text()

    assert "volume_0000: 0 cells" not in simulate("fit")
    with pytest.raises(SystemExit) as caught:
        simulate("none")
    assert caught.value.code == 1
    log = (tmp_path / "logs/simulate_masks.log").read_text()
    assert "Error: simulation.density: at 1e-09 2.4e-10 cells are expected in 1 volumes" in log
    assert not (tmp_path / "none").exists()
