import pytest
from running import REPOSITORY
from sketchscope.config.meaning import drop_meaningless
from sketchscope.config.resolve import resolve_organism
from sketchscope.config.yaml_files import read_yaml
from sketchscope.errors import InputError
from sketchscope.masks.simulators import SIMULATORS
from sketchscope.stains import STAINS

SCHEMA = read_yaml(REPOSITORY / "workflow/schemas/organism.yaml")


def organism(preset="nuclei-2d", **section):
    return resolve_organism("mine", {"preset": preset, "images": __file__, **section}, "demo", REPOSITORY)


@pytest.mark.parametrize("preset", ["nuclei-2d", "nuclei-3d", "membranes-2d", "membranes-3d"])
def test_keys_are_those_that_the_library_takes(preset):
    settings = organism(preset)
    stain, simulator = STAINS[settings["stain"]], SIMULATORS[settings["simulation"]["simulator"]]
    assert set(settings["sketch"]) == set(stain.sketch._fields)
    assert set(settings["classical"]) == set(stain.segmentation._fields)
    assert settings["simulation"].keys() - {"fit", "simulator"} == set(simulator.settings._fields) - {"diameter"}


def test_a_simulator_may_be_named():
    assert organism()["simulation"]["simulator"] == "nuclei"
    tissue = organism(simulation={"simulator": "tissue"})["simulation"]
    assert tissue["simulator"] == "tissue"
    assert "layers" in tissue
    assert "density" not in tissue
    with pytest.raises(InputError, match=r"mine\.simulation\.simulator: found \"yeast\"; allowed is"):
        organism(simulation={"simulator": "yeast"})


def test_every_simulator_and_stain_of_the_schema_is_there():
    simulators = SCHEMA["properties"]["simulation"]["properties"]["simulator"]["enum"]
    assert set(simulators) - {None} == set(SIMULATORS)
    assert set(SCHEMA["properties"]["stain"]["enum"]) == set(STAINS)


def test_what_is_marked_for_others_is_dropped():
    schema = {
        "properties": {
            "stain": {},
            "simulation": {"properties": {"simulator": {}, "a": {"simulators": ["x"]}, "b": {"simulators": ["y"]}}},
            "c": {"stains": ["s"]},
            "d": {"stains": ["t"]},
        }
    }
    settings = {"stain": "s", "simulation": {"simulator": "x", "a": 1, "b": 2}, "c": 3, "d": 4}
    assert drop_meaningless(settings, schema) == {"stain": "s", "simulation": {"simulator": "x", "a": 1}, "c": 3}
