"""Head renderer with exact labels: MakeHuman heads, HDRI light, EGL (Mesa llvmpipe is enough)."""
