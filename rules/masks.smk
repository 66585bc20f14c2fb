"""Images to masks."""


rule masks:
    """One image to masks as COCO RLE."""
    input:
        image=image_path,
        weights=weights("segmenters"),
        features=features_of_segmenter,
    output:
        masks="results/masks/{segmenter}/{image}.json",
    log:
        "logs/masks/{segmenter}/{image}.log",
    conda:
        ENV
    threads: CONFIG.runtime.model_threads
    resources:
        **needs("masks"),
    params:
        **stage("masks"),
    shell:
        RUN
