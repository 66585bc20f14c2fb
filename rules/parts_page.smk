"""The page about part-whole hierarchies."""


rule parts_page:
    """Islands with sliders over levels and iterations, their agreement with the masks, and the training's curves."""
    input:
        every_image(rules.parts_islands.output.islands),
        table=rules.images.output.table,
        record=rules.parts_model.output.record,
        metrics=rules.parts_model.output.metrics,
        accuracy=probe_accuracy,
    output:
        page=report(
            "results/report/parts.html",
            caption="../workflow/report/parts.rst",
            category="Parts",
            labels={"file": "islands and training"},
        ),
    log:
        "logs/parts_page.log",
    conda:
        ENV
    resources:
        **needs("parts_page"),
    params:
        **stage("parts_page", islands=rules.parts_islands.output.islands, masks=rules.parts_masks.output.masks),
        images=MEMBERS,
    shell:
        RUN
