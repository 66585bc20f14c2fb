"""Images to superpixels."""


rule superpixels:
    """One image to SLIC superpixels: a 16-bit label map and the same as regions."""
    input:
        image=image_path,
    output:
        labels="results/superpixels/{superpixels}/{image}.png",
        regions="results/superpixels/{superpixels}/{image}.json",
    log:
        "logs/superpixels/{superpixels}/{image}.log",
    conda:
        ENV
    resources:
        **needs("superpixels"),
    params:
        **stage("superpixels"),
    shell:
        RUN
