"""From an image to tracked head poses."""

from hpe_core.pipeline.pipeline import Pipeline, with_method

__all__ = ["Pipeline", "with_method"]
