"""Warm workers: processes that keep imports, models and a CUDA context from job to job. See docs/warm_workers.md."""
