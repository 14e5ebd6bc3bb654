"""Public datasets in their own folder formats. A data set is one file with DATASET and `samples(folder)`."""
