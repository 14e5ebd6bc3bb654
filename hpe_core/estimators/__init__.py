"""Estimators, one file each: from an image and a camera to faces with poses, with any backend."""
