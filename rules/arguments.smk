"""The command line of an inner run: what the outer one was asked for that its jobs notice (docs/shards.md)."""


def inner_arguments(phase, shard, threads):
    """The arguments of snakemake for an inner run: those of this run that jobs notice, and its slots."""
    execution, output, wishes = workflow.execution_settings, workflow.output_settings, LEVELS["wishes"]
    cores = threads if workflow.remote_exec else max(threads, CORES)
    arguments = ["--snakefile", workflow.main_snakefile, "--workflow-profile", "none", "--nolock", "--cores", cores]
    arguments += ["--configfile", *workflow.configfiles] if workflow.configfiles else []
    arguments += ["--retries", wishes["retries"]]
    arguments += ["--latency-wait", execution.latency_wait, "--rerun-incomplete", "--show-failed-logs"]
    ours = workflow.remote_exec or workflow.executor_plugin.name != "local"
    arguments += ["--executor", "regionflow" if ours else "local", "--scheduler", "regionflow" if ours else "greedy"]
    arguments += ["--scheduler-subsample", 1000, "--logger", "regionflow", "--nocolor"]
    flags = {
        "--keep-going": wishes["keep_going"],
        "--keep-incomplete": execution.keep_incomplete,
        "--forceall": wishes["forceall"],
        "--notemp": workflow.storage_settings.notemp,
        "--verbose": output.verbose,
    }
    arguments += [flag for flag, is_set in flags.items() if is_set]
    arguments += ["--rerun-triggers", *sorted(str(trigger) for trigger in workflow.dag_settings.rerun_triggers)]
    if methods := workflow.deployment_settings.deployment_method:
        arguments += ["--software-deployment-method", *sorted(map(str, methods))]
    if prefix := workflow.deployment_settings.conda_prefix:
        arguments += ["--conda-prefix", prefix]
    if limits := limits_of_run(workflow):
        arguments += ["--resources", *(f"{name}={value}" for name, value in limits.items())]
    forced = [
        name
        for name in wishes["forced"]
        if (name in phase.rules if workflow.is_rule(name) else is_made_by(name, phase, shard))
    ]
    arguments += ["--forcerun", *forced] if forced else []
    arguments += settings_of_rules(phase)
    return [*arguments, "--allowed-rules", "wanted", *phase.rules]


def settings_of_rules(phase):
    """--set-threads and --set-resources of the rules that may run, and --max-threads."""
    settings = workflow.resource_settings
    threads = [
        f"{rule}={cores.raw}" for rule, cores in settings._parsed_overwrite_threads.items() if rule in phase.rules
    ]
    resources = [
        f"{rule}:{name}={value.raw}"
        for rule, of_rule in settings._parsed_overwrite_resources.items()
        for name, value in of_rule.items()
        if rule in phase.rules
    ]
    arguments = ["--set-threads", *threads] if threads else []
    arguments += ["--set-resources", *resources] if resources else []
    return [*arguments, *(["--max-threads", settings.max_threads] if settings.max_threads is not None else [])]
