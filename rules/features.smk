"""Images to feature maps."""


rule features:
    """One image to a feature map [C, h, w]."""
    input:
        image=image_path,
        weights=weights("extractors"),
    output:
        features=feature_file("results/features/{extractor}/{image}.h5"),
    log:
        "logs/features/{extractor}/{image}.log",
    conda:
        "../envs/regionflow.yaml"
    threads: CONFIG.runtime.model_threads
    resources:
        gpu=cards("features"),
    params:
        client=slot_for("features"),
        options=options("features"),
        job=job("features"),
    shell:
        "exec {params.client} > {log:q} 2>&1 <<< {params.job:q}"
