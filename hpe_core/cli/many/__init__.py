"""`hpe run` over several sources: one output folder each, by several processes or a Dask cluster, resumable."""
