import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from regionflow.base.errors import BadFile, UserError
from regionflow.formats.classifiers import read_classifier, read_validation, write_classifier
from regionflow.semantics.example_options import ExamplesOptions
from regionflow.semantics.examples import (
    ExampleSet,
    NotEnoughExamples,
    Scaling,
    fit,
    probabilities,
    scaling,
    validate,
)
from regionflow.semantics.suggestions import most_telling

NAMES = ["sky", "tree", "cup"]


def options(**some) -> ExamplesOptions:
    return ExamplesOptions(examples="examples.tsv", extractor="daisy_lab", **some)


def blobs(n: int, seed: int = 0, apart: float = 4.0) -> tuple[np.ndarray, np.ndarray]:
    """n features [n, 6] of each of three classes."""
    rng = np.random.default_rng(seed)
    truth = np.repeat(np.arange(3), n)
    features = rng.normal(0, 1, (3 * n, 6)) + apart * np.eye(3, 6)[truth]
    return (features * [1, 10, 100, 1, 1, 0.01] + 50).astype(np.float32), truth


def examples(n: int, seed: int = 0, images: int = 3) -> ExampleSet:
    features, truth = blobs(n, seed)
    names = [f"image{i % images}" for i in range(len(truth))]
    return ExampleSet(NAMES, names, np.arange(len(truth)), truth, features)


@pytest.mark.parametrize("method", ["logistic", "nearest_mean"])
@pytest.mark.parametrize("n", [1, 3, 10])
def test_a_few_examples_name_the_rest(method, n):
    rest, truth = blobs(100, seed=1)
    guess = probabilities(fit(examples(n), scaling(rest), options(method=method)), rest).argmax(axis=1)
    assert (guess == truth).mean() > (0.75 if n == 1 else 0.9)


def test_without_whitening_it_is_sklearns_logistic_regression():
    some, (rest, _) = examples(5), blobs(30, seed=2)
    ours = probabilities(fit(some, scaling(rest, shrink=1.0), options(c=0.5)), rest)
    mean, deviation = rest.mean(axis=0), rest.std(axis=0)
    model = LogisticRegression(C=0.5, class_weight="balanced", max_iter=2000)
    model.fit((some.features - mean) / deviation, some.truth)
    np.testing.assert_allclose(ours, model.predict_proba((rest - mean) / deviation), atol=2e-3)


def test_two_classes_are_sklearns_too():
    some, (rest, _) = examples(5), blobs(30, seed=2)
    two = some.some(some.truth < 2)
    ours = probabilities(fit(two, scaling(rest, shrink=1.0), options()), rest)
    mean, deviation = rest.mean(axis=0), rest.std(axis=0)
    model = LogisticRegression(class_weight="balanced").fit((two.features - mean) / deviation, two.truth)
    np.testing.assert_allclose(ours[:, :2], model.predict_proba((rest - mean) / deviation), atol=2e-3)
    # The third class has no example: it never wins.
    assert (ours[:, 2] == 0).all()


def test_scaling_is_that_of_all_finite_rows_in_blocks(monkeypatch):
    monkeypatch.setattr("regionflow.semantics.examples.BLOCK_ROWS", 7)
    features, _ = blobs(10)
    features[3] = np.nan
    features[:, 4] = 5
    known = scaling(features)
    finite = features[np.isfinite(features).all(axis=1)]
    np.testing.assert_allclose(known.mean, finite.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(known.scale[:4], finite.std(axis=0)[:4], rtol=1e-3)
    assert known.scale[4] == 1 and isinstance(known, Scaling)
    # Half whitened: the covariance of what comes out is that of the shrunk inverse.
    white = ((finite - known.mean) / known.scale) @ scaling(features, shrink=0.0).whitening
    varying = np.linalg.eigvalsh(np.cov(white.T, bias=True))
    np.testing.assert_allclose(varying[varying > 0.5], 1, atol=1e-2)


def test_probabilities_of_rows_without_values_are_nan_and_of_other_widths_an_error():
    features, _ = blobs(3)
    classifier = fit(examples(3), scaling(features), options())
    features[1, 2] = np.inf
    sure = probabilities(classifier, features)
    assert np.isnan(sure[1]).all() and np.allclose(sure[[0, 2]].sum(axis=1), 1)
    assert probabilities(classifier, np.zeros((0, 6), np.float32)).shape == (0, 3)
    with pytest.raises(UserError, match="5 channels, the classifier 6"):
        probabilities(classifier, features[:, :5])


def test_one_class_is_not_enough():
    some = examples(3)
    with pytest.raises(NotEnoughExamples, match="two classes at least"):
        fit(some.some(some.truth == 1), scaling(some.features), options())


def test_cross_validation_guesses_from_other_images_only():
    some = examples(6)
    # A class that one image alone has cannot be guessed.
    lonely = ExampleSet(
        [*NAMES, "lonely"],
        [*some.images, "image0", "image0"],
        np.arange(20),
        np.append(some.truth, [3, 3]),
        np.concatenate([some.features, some.features[:2] - 500]),
    )
    validation = validate(lonely, scaling(some.features), options())
    assert validation.guessed == 18 and (validation.guess[-2:] == -1).all()
    assert validation.accuracy > 0.9
    # Examples whose image gives them away: all of a class in its own image, so that nothing is guessed.
    apart = ExampleSet(NAMES, [NAMES[t] for t in some.truth], some.regions, some.truth, some.features)
    assert validate(apart, scaling(some.features), options()).guessed == 0
    assert np.isnan(validate(apart, scaling(some.features), options()).accuracy)


def test_regions_worth_labelling_are_unsure_different_and_unlabelled():
    features, _ = blobs(60, seed=3, apart=6)
    doubtful = np.array([features[:60].mean(0) + features[60:120].mean(0)]) / 2
    features = np.concatenate([features, np.repeat(doubtful, 5, axis=0)]).astype(np.float32)
    classifier = fit(examples(5), scaling(features), options())
    areas = np.full(len(features), 100)
    known = np.arange(len(features)) == 180
    chosen = most_telling(features, classifier, areas, known, count=4)
    rows = [row for row, _, _ in chosen]
    assert 180 not in rows and len(rows) == 4
    # Five copies of one doubtful region are worth one question.
    assert sum(row > 180 for row in rows) == 1 and rows[0] > 180
    assert most_telling(features, classifier, areas, known, count=0) == []
    assert most_telling(features, classifier, areas, np.ones_like(known), count=4) == []


def test_a_classifier_is_stored_as_arrays_and_refused_where_it_is_none(tmp_path):
    some = examples(4)
    known = scaling(some.features)
    classifier, validation = fit(some, known, options()), validate(some, known, options())
    path = tmp_path / "classifier.h5"
    write_classifier(path, classifier, validation, {"stage": "classifier"})
    again = read_classifier(path)
    assert again.names == NAMES and again.method == "logistic"
    np.testing.assert_array_equal(probabilities(again, some.features), probabilities(classifier, some.features))
    assert read_validation(path).accuracy == validation.accuracy
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(BadFile, match=r"classifier\.h5"):
        read_classifier(path)
    with pytest.raises(BadFile, match=r"classifier\.h5"):
        read_validation(path)


def test_class_names_that_stand_twice_are_told_together():
    with pytest.raises(ValueError, match="stand more than once: Sky, cup, sky"):
        options(classes=["sky", "cup", "Sky", "tree", "cup"])
