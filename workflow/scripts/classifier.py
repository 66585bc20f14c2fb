"""Rule classifier: the examples of a labeler and the region features of the set to a classifier."""

from functools import cache

from regionflow.base.kinds import read_kind
from regionflow.formats.classifiers import write_classifier
from regionflow.formats.layout import for_image
from regionflow.formats.pooled import SetColumn
from regionflow.formats.regions import RegionFile, read_regions
from regionflow.run.adapters import images_of, provenance
from regionflow.run.job import Job
from regionflow.semantics import examples, suggestions
from regionflow.semantics.kinds import LabelerKind
from regionflow.semantics.labelled_regions import read_examples


def run(job: Job) -> None:
    options = read_kind(LabelerKind, job.options["labeler"])
    images = list(images_of(job))

    @cache
    def regions(image: str) -> RegionFile:
        return read_regions(for_image(job.input("regions"), image), image)

    labelled, names, notes = read_examples(options.path, options.classes, options.purity, images, regions)
    pooled = job.input("pooled")
    some, missing = examples.of_set(pooled, labelled, names)
    known = examples.scaling(SetColumn(pooled), options.shrink)
    classifier, validation = examples.fit(some, known, options), examples.validate(some, known, options)
    print("\n".join([*notes, *missing]))
    print(
        f"{len(some.truth)} examples of {len(names)} classes in {len(set(some.images))} images; from those of other "
        f"images {validation.guessed} can be guessed, {validation.accuracy:.0%} rightly"
    )
    write_classifier(job.outputs["classifier"], classifier, validation, provenance(job))
    rows = suggestions.worth_labelling(pooled, classifier, some, options.suggestions)
    suggestions.write_suggestions(job.outputs["suggestions"], rows, classifier.names, regions)
