"""Public datasets in their own folder formats. A dataset is one file with `samples(folder)`; names are file names."""
