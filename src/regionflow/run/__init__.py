"""How stages are run: jobs, slots, residents, and what is checked before."""
