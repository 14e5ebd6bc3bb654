"""TensorRT engines: what identifies one, where they lie, how they are built and proven. No GPU is needed to import."""
