"""Depth images beside colour images: of the same moment, with the right camera, in the right frame."""
