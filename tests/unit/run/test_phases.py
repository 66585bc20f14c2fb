"""Phases follow from what steps need: files of single images made together, files of the whole set between them."""

import pytest

from regionflow.run.phases import Phase, Plan, Step, plan, waits_for_the_set

PROBE = "a"
ALL = "{image}"


class Rules:
    """A small workflow: file patterns and what each needs; a file without an entry must be there."""

    def __init__(self, **needs: list[str]) -> None:
        self.needs = needs
        self.recorded: dict[str, str] = {}

    def find(self, file: str) -> Step | None:
        rule = file.split("/", maxsplit=1)[0].split(".", maxsplit=1)[0]
        if rule not in self.needs:
            return None
        single = "/" in file
        names = (("variant", file.partition(".")[2]),) if "." in file else ()
        output = f"{rule}/{ALL}" if single else file
        return Step(rule, names, single, (output,), self.recorded.get(rule, ""), tuple(self.needs[rule]))


# As the workflow's own: each/ is of every image, each without a slash of the set.
USUAL = {
    "features": [],
    "regions": [],
    "pooled": ["features/a", "regions/a"],
    "set": ["pooled/a"],
    "table": [],
    "fit": ["set"],
    "labels": ["fit", "pooled/a"],
    "sheet": ["labels/a", "table"],
}


def levels(made: Plan) -> list[tuple[str, ...]]:
    return [phase.rules for phase in made.phases.values()]


def named(made: Plan, rule: str) -> Phase:
    return next(phase for phase in made.phases.values() if rule in phase.rules)


def test_files_of_images_and_of_the_set_take_turns() -> None:
    made = plan(["sheet", "table"], [], Rules(**USUAL).find)
    assert levels(made) == [("features", "pooled", "regions"), ("fit", "set"), ("labels",), ("sheet",)]
    assert [phase.per_image for phase in made.phases.values()] == [True, False, True, False]
    assert made.files == ("table",)


def test_a_phase_waits_for_those_whose_files_it_reads() -> None:
    made = plan(["sheet"], [], Rules(**USUAL).find)
    pooled, fit, labels, sheet = made.phases.values()
    assert (pooled.after, pooled.files) == ((), ())
    assert (fit.after, fit.reads) == ((pooled.name,), ((f"pooled/{ALL}", pooled.name),))
    assert labels.after == tuple(sorted([fit.name, pooled.name]))
    assert (sheet.after, sheet.files) == ((labels.name,), ("table",))


def test_all_that_a_phase_makes_is_wanted_of_it() -> None:
    pooled, _, labels, _ = plan(["sheet"], [], Rules(**USUAL).find).phases.values()
    assert set(pooled.patterns) == {f"features/{ALL}", f"regions/{ALL}", f"pooled/{ALL}"}
    assert labels.patterns == (f"labels/{ALL}",)


def test_without_a_fit_everything_of_an_image_is_one_phase() -> None:
    frozen = {**USUAL, "labels": ["centres", "pooled/a"]}
    made = plan(["sheet", "set"], [], Rules(**frozen).find)
    assert levels(made) == [("features", "labels", "pooled", "regions"), ("set", "sheet")]


def test_targets_decide_what_is_made() -> None:
    rules = Rules(**USUAL)
    assert levels(plan(["features/a"], [], rules.find)) == [("features",)]
    assert levels(plan(["set"], [], rules.find)) == [("features", "pooled", "regions"), ("set",)]
    assert plan(["table"], [], rules.find) == Plan({}, ("table",))
    assert plan(["something that is there"], [], rules.find) == Plan({}, ())


def test_a_download_comes_first_and_is_the_outer_runs_own() -> None:
    made = plan(["features/a"], [], Rules(weights=[], features=["weights"]).find)
    (phase,) = made.phases.values()
    assert (phase.files, phase.after) == (("weights",), ())


def test_a_file_of_one_image_is_made_for_it_alone_when_what_it_needs_of_the_set_is_there() -> None:
    made = plan([], ["labels/dog"], Rules(**USUAL).find)
    assert levels(made) == [("features", "pooled", "regions"), ("fit", "set"), ("labels",)]
    last = list(made.phases.values())[-1]
    assert (last.per_image, last.single, last.patterns) == (False, True, ("labels/dog",))
    assert not any(phase.single for phase in list(made.phases.values())[:-1])


@pytest.mark.parametrize(("file", "waits"), [("pooled/dog", False), ("labels/dog", True), ("nothing", False)])
def test_whether_a_file_of_one_image_waits_for_the_set(file: str, waits: bool) -> None:
    assert waits_for_the_set([file], Rules(**USUAL).find) == waits


def test_names_say_what_is_made_and_not_how() -> None:
    rules = Rules(**USUAL)
    first = plan(["sheet"], [], rules.find)
    rules.recorded["pooled"] = "another option"
    second = plan(["sheet"], [], rules.find)
    assert list(first.phases) == list(second.phases)
    changed = [name for name in first.phases if first.phases[name].recorded != second.phases[name].recorded]
    assert changed == [named(second, "pooled").name]
    assert named(plan(["fit"], [], rules.find), "pooled") == named(second, "pooled")
    assert plan(["features/a"], [], rules.find).phases.keys().isdisjoint(first.phases)
