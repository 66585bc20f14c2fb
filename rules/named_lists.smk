"""Class names as lists: every class, and tasks of Label Studio."""


rule named_classes:
    """Value, name and colour of every class."""
    input:
        every_image(rules.semantics.output.table),
        table=rules.images.output.table,
    output:
        classes="results/named/{labeler}/{regions}/classes.csv",
    log:
        "logs/named_classes/{labeler}/{regions}.log",
    conda:
        ENV
    resources:
        **needs("named_classes"),
    params:
        **over_named("named_classes"),
        images=MEMBERS,
    shell:
        RUN


rule label_studio:
    """The named regions as tasks of Label Studio, and the setup of a project for them."""
    input:
        every_image(rules.semantics.output.table),
        table=rules.images.output.table,
    output:
        tasks="results/named/{labeler}/{regions}/label_studio.json",
        setup="results/named/{labeler}/{regions}/label_studio.xml",
    log:
        "logs/label_studio/{labeler}/{regions}.log",
    conda:
        ENV
    resources:
        **needs("label_studio"),
    params:
        **over_named("label_studio"),
        images=MEMBERS,
    shell:
        RUN
