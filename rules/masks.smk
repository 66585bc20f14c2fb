"""Images to masks."""


rule masks:
    """One image to masks as COCO RLE."""
    input:
        image=image_path,
        weights=weights("segmenters"),
    output:
        masks="results/masks/{segmenter}/{image}.json",
    log:
        "logs/masks/{segmenter}/{image}.log",
    conda:
        "../envs/regionflow.yaml"
    threads: CONFIG.runtime.model_threads
    resources:
        gpu=cards("masks"),
    params:
        client=slot_for("masks"),
        options=options("masks"),
        job=job("masks"),
    shell:
        "exec {params.client} > {log:q} 2>&1 <<< {params.job:q}"
