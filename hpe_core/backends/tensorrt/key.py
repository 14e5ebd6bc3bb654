"""What a compiled engine depends on. If one of these differs it is another engine, never a reused one."""

import hashlib
import json
import re
from dataclasses import asdict, dataclass, fields
from typing import Any

from hpe_core.errors import HpeError

PRECISIONS = ("fp16", "fp32", "int8")
RECIPE = 1  # raise it when hpe_core.backends.tensorrt.typed_graph returns another graph for the same model
ANY = "any"  # TensorRT for RTX: the plan is finished for the GPU at hand when it is loaded


@dataclass(frozen=True)
class EngineKey:
    """All plain text or numbers, so that two machines agree on the digest."""

    model: str  # file name without suffix: for people, not part of the digest
    onnx_sha256: str  # of the file as shipped
    recipe: int  # RECIPE
    precision: str
    max_batch: int
    input_size: str  # "320x256": some networks take any, and an engine one
    library: str  # "tensorrt 10.3.0", "tensorrt_rtx 1.7.1.116"
    plugins: str  # version of the plugin library
    cuda: str  # of the driver, or ANY
    compute_capability: str  # "8.6"
    gpu: str  # name, or ANY

    @property
    def digest(self) -> str:
        """32 hexadecimal digits of SHA-256 over everything but the model's name."""
        values = {name: value for name, value in asdict(self).items() if name != "model"}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()[:32]

    @property
    def stem(self) -> str:
        """File name without suffix, readable first: head6dof-320x256-fp16-b1-sm86-<digest>."""
        capability = self.compute_capability.replace(".", "")
        model = re.sub(r"[^A-Za-z0-9_-]", "_", self.model)
        return f"{model}-{self.input_size}-{self.precision}-b{self.max_batch}-sm{capability}-{self.digest}"

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "EngineKey":
        """The key that `asdict` wrote. Raises HpeError when fields are missing, unknown or of another type."""
        types = {f.name: f.type for f in fields(cls)}
        wrong = sorted(name for name in types if type(values.get(name)) is not types[name]) + sorted(
            set(values) - set(types)
        )
        if wrong:
            raise HpeError(f"not an engine key, wrong: {', '.join(wrong)}")
        return cls(**values)
