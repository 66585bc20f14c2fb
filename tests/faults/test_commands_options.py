"""Options: numbers that are none or too large, numbers as text, and mistakes of all sorts at once."""

import copy
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from regionflow.base.errors import UserError
from regionflow.base.options import Options
from regionflow.config.load import ConfigError, check_config, load_config
from regionflow.config.texts import scalar, with_arguments
from regionflow.config.types import GROUPS, Config
from regionflow.features.options import TimmOptions
from regionflow.run import preflight

BARE = Config().model_dump(mode="json")


def numbers(value: object = BARE, path: tuple = ()):
    """(path, default) of every number in the configuration, by one variant of each kind."""
    if isinstance(value, dict):
        kinds = set()
        for key, inner in value.items():
            kind = (inner.get("type"), tuple(inner)) if isinstance(inner, dict) and len(path) == 1 else key
            if kind not in kinds:
                kinds.add(kind)
                yield from numbers(inner, (*path, key))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from numbers(inner, (*path, i))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value


NUMBERS = dict(numbers())


def with_value(path: tuple, value: object) -> dict:
    """A configuration with one value changed."""
    section, variant = path[:2]
    whole = path[0] not in GROUPS
    values = copy.deepcopy({section: BARE[section] if whole else {variant: BARE[section][variant]}})
    holder = values
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    return values


def test_there_are_many_numbers():
    assert len(NUMBERS) > 50 and ("clusters", "tolerance") in NUMBERS


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan, 10**30, 1e300, 2**63, -(2**70)])
def test_what_no_library_can_count_is_told_with_its_key(value):
    for path in NUMBERS:
        key = ".".join(step for step in path if isinstance(step, str))
        _, problems = check_config(with_value(path, value))
        assert any(problem.startswith((f"{key}: ", f"{key}.")) for problem in problems), f"{key}: {value} is taken"


def below(cls: type[BaseModel]) -> set[type[BaseModel]]:
    return {cls, *(c for child in cls.__subclasses__() for c in below(child))}


OURS = {c for c in below(BaseModel) if c.__module__.startswith("regionflow.") and c is not Options}


def numbers_of(node: dict, wrap=lambda value: value):
    """(schema of a number, what makes a value of the field of a value of the number) of all numbers in a field."""
    if node.get("type") in ("number", "integer"):
        yield node, wrap
    for one in node.get("anyOf", []):
        yield from numbers_of(one, wrap)
    if isinstance(node.get("items"), dict):
        least = node.get("minItems", 1)
        yield from numbers_of(node["items"], lambda value: [wrap(value)] * least)


EVERY_NUMBER = [
    pytest.param(cls, name, number, wrap, id=f"{cls.__name__}.{name}")
    for cls in sorted(OURS, key=lambda cls: cls.__name__)
    for name, node in cls.model_json_schema().get("properties", {}).items()
    for number, wrap in numbers_of(node)
]


@pytest.mark.parametrize(("cls", "name", "number", "wrap"), EVERY_NUMBER)
def test_every_number_has_bounds_and_what_lies_beyond_is_told_with_its_key(cls, name, number, wrap):
    """Taken from the schema: a new option without a bound fails here."""
    least = number.get("minimum", number.get("exclusiveMinimum"))
    most = number.get("maximum", number.get("exclusiveMaximum"))
    assert least is not None and most is not None
    step = 1 if number["type"] == "integer" else 1e-3
    beyond = [least - step, most + step, -(10**30), 10**30, math.nan, math.inf, -math.inf]
    beyond += [least] * ("exclusiveMinimum" in number) + [most] * ("exclusiveMaximum" in number)
    for value in beyond:
        with pytest.raises(ValidationError) as error:
            cls.model_validate({name: wrap(value)})
        assert name in {problem["loc"][0] for problem in error.value.errors()}, value


def test_every_options_class_checks_numbers():
    assert len(OURS) > 10 and len(EVERY_NUMBER) > 100
    for cls in OURS:
        assert issubclass(cls, Options) and not cls.model_config["allow_inf_nan"], cls


@given(
    st.one_of(st.integers(-(10**9), 10**9), st.floats(allow_nan=False, allow_infinity=False), st.booleans(), st.none())
)
def test_text_of_a_scalar_is_that_scalar(value):
    text = yaml.safe_dump(value).split("\n")[0]
    assert scalar(text) == value or scalar(text) == pytest.approx(value)


@pytest.mark.parametrize(
    "text", ["yes", "on", "1_000", "0x10", "1:30", "a", "", "1e", "nan", ".inf", "None", "2020-01-01"]
)
def test_other_text_stays_text(text):
    assert scalar(text) is text


def test_numbers_as_text_are_read_where_no_text_is_taken():
    config = load_config(
        {
            "clusters": {"tolerance": "1e-4", "k": ["46", "3"], "as_published": "true", "fit_splits": "null"},
            "segmenters": {"sam_vit_b": {"points_per_side": "16"}},
            "images": {"dir": "2024", "max_megapixels": "1e2"},
        }
    )
    assert config.clusters.tolerance == 1e-4 and config.clusters.k == [46, 3]
    assert config.clusters.as_published is True and config.clusters.fit_splits is None
    assert config.images.dir == "2024" and config.images.max_megapixels == 100.0
    with pytest.raises(ConfigError, match=r"superpixels\.slic\.enforce_connectivity.*'yes'"):
        load_config({"superpixels": {"slic": {"enforce_connectivity": "yes"}}})


def test_arguments_of_the_command_line_are_yaml():
    stringly = {"clusters": {"k": "46", "model": "null", "seed": 3}, "images": {"dir": "123"}, "regions": None}
    arguments = ["clusters={k: 46, model: null}", "images={dir: '123'}", "elsewhere=1"]
    values = with_arguments(stringly, arguments)
    assert values == {"clusters": {"k": 46, "model": None, "seed": 3}, "images": {"dir": "123"}, "regions": None}
    with pytest.raises(UserError, match=r"--config clusters=\{k: 46: not YAML"):
        with_arguments(stringly, ["clusters={k: 46"])


def test_a_mistake_hides_no_other(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(TimmOptions, "problems", lambda self: iter([f"model: {self.model} is unknown"]))
    values = {
        "images": {"dir": str(tmp_path / "nowhere"), "dirr": 1, "max_megapixels": math.inf, "suffixes": ["png"]},
        "targets": {"extractors": [5, "daisylab", "mine"], "regions": ["x", "sam"]},
        "regions": {"x": {"segmenter": "nobody", "min_pixels": -1, "bad": 2}, "sam": {"segmenter": "broken"}},
        "segmenters": {"a/b": {}, "untyped": {}, "broken": {"type": "sam", "checkpoint": str(tmp_path / "no.pth")}},
        "extractors": {"mine": {"type": "timm", "model": "no_such_model_of_timm"}},
        "clusters": {"model": str(tmp_path / "{extractor}.h5")},
        "runtime": {"device": "cuda"},
        "nonsense": 3,
    }
    with pytest.raises(ConfigError) as error:
        preflight.prepare(values)
    text = str(error.value)
    for line in (
        f"images.dir: {tmp_path}/nowhere",
        "images.dirr: unknown key; did you mean dir?",
        "images.suffixes: a suffix begins with a dot",
        "images.max_megapixels: Input should be a finite number",
        "targets.extractors.0: Input should be a valid string, not 5",
        "'daisylab' is not declared under extractors; did you mean daisy_lab?",
        "regions.x.segmenter: 'nobody' is not declared under segmenters",
        "regions.x.min_pixels: ",
        "regions.x.bad: unknown key",
        "segmenters.a/b: ",
        "segmenters.untyped: needs a type",
        f"segmenters.broken.checkpoint: {tmp_path}/no.pth is not there",
        "extractors.mine.model: ",
        f"clusters.model: {tmp_path}/mine.h5 is not there",
        "runtime.device is cuda (for ",
        "nonsense: unknown key",
    ):
        assert line in text, f"{line!r} is not in\n{text}"
    assert text.count("\n") == int(text.split(maxsplit=1)[0]), text


def test_a_device_matters_only_where_it_is_used(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    preflight.prepare({"runtime": {"device": "cuda"}})  # the default targets use no model
    sam = {"runtime": {"device": "cuda"}, "targets": {"extractors": ["sam_tiny"]}}
    preflight.prepare(sam, works=False)  # on a cluster the cards are elsewhere
    with pytest.raises(ConfigError, match=r"extractors\.sam_tiny"):
        preflight.prepare(sam)


def test_only_the_start_of_a_run_asks_for_weights():
    values = {"targets": {"regions": ["mine"]}, "regions": {"mine": {"segmenter": "gone"}}}
    values["segmenters"] = {"gone": {"type": "sam", "checkpoint": str(Path("nowhere.pth"))}}
    preflight.prepare(values, starts=False)
    with pytest.raises(ConfigError, match=r"nowhere\.pth is not there"):
        preflight.prepare(values)
