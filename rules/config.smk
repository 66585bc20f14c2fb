"""The configuration, the images of the set and their versions, as this run or its outer one has read them."""

from snakemake.exceptions import WorkflowError

from regionflow.base.errors import UserError
from regionflow.config.texts import with_arguments
from regionflow.images.find import ImageSet
from regionflow.images.versions import Versions, image_versions
from regionflow.run import preflight
from regionflow.run.inner import Inner

try:
    INNER = Inner.current()  # of a shard or of the whole set between two phases: docs/shards.md
    STARTS = workflow.is_main_process and not INNER
    VALUES = INNER.config if INNER else with_arguments(config, workflow.config_settings.config_args or [])
    CONFIG, IMAGE_SET = preflight.prepare(
        VALUES,
        starts=STARTS,
        works=workflow.resource_settings.nodes is None,
        images=ImageSet(INNER.images) if INNER and INNER.images is not None else None,
    )
    IMAGES = IMAGE_SET.images
    VERSIONS = Versions(INNER.versions) if INNER and INNER.versions else image_versions(IMAGES, update=STARTS)
except UserError as error:
    raise WorkflowError(str(error)) from None
