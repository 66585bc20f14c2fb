"""The configuration: every error at once with its key path; defaults, schema and reference do not drift."""

from pathlib import Path

import pytest
import yaml

from regionflow.config import document
from regionflow.config.load import ConfigError, load_config
from regionflow.config.types import Config

ROOT = Path(__file__).parents[3]


def errors(values):
    with pytest.raises(ConfigError) as error:
        load_config(values)
    return str(error.value)


def test_every_error_is_listed_at_once_with_its_key():
    text = errors(
        {
            "images": {"dirr": "x", "max_megapixels": -1.0},
            "superpixels": {"slic": {"n_segments": 32.5, "enforce_connectivity": "yes"}},
            "segmenters": {"graph": {"type": "graph", "scale": [1.0]}},
            "clusters": {"k": 1},
            "nonsense": 3,
        }
    )
    assert text.startswith("7 error(s)")
    for line in (
        "images.dirr: unknown key; did you mean dir?",
        "images.max_megapixels: Input should be greater than 0, not -1.0",
        "superpixels.slic.n_segments: Input should be a valid integer",
        "superpixels.slic.enforce_connectivity: Input should be a valid boolean, not 'yes'",
        "segmenters.graph.scale: unknown key; did you mean scales?",
        "clusters.k: Input should be greater than or equal to 2, not 1",
        "nonsense: unknown key",
    ):
        assert line in text


def test_names_that_are_not_declared_are_listed_with_the_nearest():
    text = errors({"targets": {"extractors": ["daisylab"]}, "regions": {"default": {"segmenter": "sam_vit_x"}}})
    assert "targets.extractors.0: 'daisylab' is not declared under extractors; did you mean daisy_lab?" in text
    assert "regions.default.segmenter: 'sam_vit_x' is not declared under segmenters" in text


def test_a_variant_needs_a_known_type():
    assert "segmenters.x" in errors({"segmenters": {"x": {"type": "magic"}}})
    assert "segmenters.x" in errors({"segmenters": {"x": {"scales": [1.0, 2.0]}}})


def test_two_image_sources_or_none_for_regions_are_refused():
    assert "images: give either dir or table, not both" in errors({"images": {"dir": "a", "table": "b"}})
    assert "regions.x: needs a segmenter, superpixels or both" in errors(
        {"regions": {"x": {"segmenter": None, "superpixels": None}}}
    )


@pytest.mark.parametrize("name", ["a/b", "", ".hidden", "x" * 65, "sp ace"])
def test_names_that_are_no_folder_names_are_refused(name):
    assert "superpixels" in errors({"superpixels": {name: {}, "slic": {}}})


def test_the_shipped_configuration_is_the_default():
    assert load_config(yaml.safe_load((ROOT / "config/config.yaml").read_text())) == Config()


def test_variants_stand_beside_the_built_in_ones_and_change_what_they_name():
    config = load_config(
        {
            "segmenters": {"sam_vit_b": {"checkpoint": "/data/b.pth"}, "mine": {"type": "graph", "min_size": 9}},
            "superpixels": {"fine": {"n_segments": 400}},
        }
    )
    assert config.segmenters["graph"] == Config().segmenters["graph"]
    assert config.segmenters["sam_vit_b"].model == "vit_b"
    assert config.segmenters["sam_vit_b"].checkpoint == "/data/b.pth"
    assert config.segmenters["mine"].min_size == 9
    assert list(config.superpixels) == ["slic", "fine"]


def test_schema_and_reference_are_those_of_the_types():
    assert (ROOT / "config/schema.json").read_text() == document.schema(), "run `make config-docs`"
    assert (ROOT / "config/README.md").read_text() == document.reference(), "run `make config-docs`"


def test_every_key_has_an_explanation():
    assert [line for line in document.reference().splitlines() if line.startswith("|") and line.endswith("|  |")] == []
