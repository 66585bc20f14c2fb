"""A tour of a set of regions: `snakemake` first, then this, in a notebook (tour.ipynb) or as a program."""

# %% [markdown]
# # A set of regions
#
# `snakemake --cores all` has made `results/`. `regionflow.load` opens all regions of all images: arrays with one row
# per region; features are read from disk when they are asked for.

# %%
import numpy as np

import regionflow

regions = regionflow.load("results")
print(f"{len(regions)} regions of {len(regions.image_ids)} images, {regions.features.shape[1]} channels")

# %% [markdown]
# ## One image

# %%
image_id = regions.image_ids[0]
rows = regions.rows(image_id)
largest = rows[np.argmax(regions.area[rows])]
mask = regions.mask(largest)
print(f"{image_id}: {len(rows)} regions; the largest has {mask.sum()} of {mask.size} pixels")

# %% [markdown]
# ## Clusters
#
# Automatic labels: how many regions each cluster has, and how much of all regions' area.

# %%
has_cluster = regions.cluster >= 0
sizes = np.bincount(regions.cluster[has_cluster])
areas = np.bincount(regions.cluster[has_cluster], weights=regions.area[has_cluster])
for cluster in np.argsort(-sizes)[:5]:
    print(f"cluster {cluster}: {sizes[cluster]} regions, {areas[cluster] / areas.sum():.0%} of the area")

# %% [markdown]
# ## Regions like this one

# %%
query = regions.features[int(largest)]
similarity = np.zeros(len(regions), np.float32)
for block, features in regions.blocks():
    lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(query)
    similarity[block] = features @ query / np.maximum(lengths, 1e-12)
for row in np.argsort(-similarity)[1:4]:
    print(f"{regions.region_id[row]}: {similarity[row]:.3f}")
