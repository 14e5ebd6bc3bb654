"""Everything that made the weights. hpe_core comes first: it turns off ONNX Runtime's telemetry."""

import hpe_core  # noqa: F401
