"""Rule overlay: photo, masks, regions and labels of one image side by side."""

from regionflow.formats.labels import read_label_map
from regionflow.formats.pictures import write_jpeg
from regionflow.formats.regions import read_regions
from regionflow.formats.semantics import read_semantics
from regionflow.report.panels import NamedMap, notice, panels
from regionflow.run.adapters import open_image
from regionflow.run.job import Job


def run(job: Job) -> None:
    image, info = open_image(job)
    if image is None:
        picture = notice(f"{info.file_name}: {info.error}")
    else:
        name = job.names["image"]
        regions = read_regions(job.input("regions"), name)
        titles = job.options.get("labelers", ["classes"])
        files = zip(titles, job.input_list("names"), job.input_list("named"), strict=False)
        named = [
            NamedMap(title, read_label_map(map_, name, regions.size), read_semantics(names, name).classes)
            for title, names, map_ in files
        ]
        labels = read_label_map(job.input("labels"), name, regions.size)
        picture = panels(image, regions, labels, job.options["max_side"], named)
    write_jpeg(job.outputs["overlay"], picture)
