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
        ENV
    threads: CONFIG.runtime.model_threads
    resources:
        **needs("features"),
    params:
        **stage("features"),
    shell:
        RUN
