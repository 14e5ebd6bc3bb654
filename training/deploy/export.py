"""From a training checkpoint to the ONNX that ships: fused, decoded, with its model card inside.

    python -m training.deploy.export runs/head6dof/last.pt --card training/cards/head6dof.json --metrics metrics.json \\
        --out hpe_core/weights/head6dof.onnx

The card also lands beside the model as JSON. Metrics are what training.measure.evaluate wrote for the same
weights, which are exported without metrics first.
"""

import argparse
import hashlib
import json
import warnings
from pathlib import Path

import onnx
import torch

from hpe_core import registry
from hpe_core.backends.tensorrt import onnx_graph
from hpe_core.errors import HpeError
from hpe_core.network_card import CARD_KEY, FREE_SIDES
from training.deploy.cards import complete
from training.deploy.model_file import with_byte_storage, with_half_storage
from training.networks._blocks import fuse

OPSET = 17


def export(checkpoint_paths, card, out, decode=None, small=False):
    """Write `out` (ONNX) from the averaged weights of one checkpoint, or the mean of several; returns the card (dict).

    Several checkpoints must continue one another (model soup: Wortsman et al., ICML 2022); the last one's facts count.

    Weights are stored as float16 (half the size), the largest of `small` files as int8; they are computed with in
    float32.
    decode: `centre` or `published`, how a method with bins reads them, instead of what the checkpoint's config says.
    card: dict with name, estimator, data, metrics, and `network`, its file in training/networks, where that has another
    name; spec, config, commit, seed, steps and what is common to all cards (training.deploy.cards) are added here.
    The same card is written beside the model as JSON.
    """
    runs = [torch.load(path, weights_only=True, map_location="cpu") for path in checkpoint_paths]
    saved = runs[-1]
    module = registry.load("training.networks", card.get("network", card["name"]))
    if decode and "decode" not in saved["config"]:
        raise HpeError(f"{card['name']} has one way to decode its output only")
    settings = saved["config"] | ({"decode": decode} if decode else {})
    config = module.Config(**settings)
    net = module.build(config)
    if saved["args"].get("start"):  # trained in its fused form
        net = fuse(net)
    net.load_state_dict(_mean_weights([run["average"] for run in runs]), strict=True)
    deployed = module.Deployed(net.eval()).eval()
    free = {"image": {0: "batch"}, "rows": {0: "batch"}} if module.FREE_BATCH else None
    if getattr(module, "FREE_SIDES", False):
        free = {"image": dict(enumerate(FREE_SIDES, 1)), "rows": {1: "locations"}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the TorchScript exporter announces its successor, which needs onnxscript
        torch.onnx.export(
            deployed,
            (torch.zeros(1, *config.input_hwc, dtype=torch.uint8),),
            out,
            input_names=["image"],
            output_names=["rows"],
            dynamic_axes=free,
            opset_version=OPSET,
            dynamo=False,
        )
    card = complete(card) | {
        "spec": module.SPEC,
        "config": settings,
        "training": {"commit": saved["commit"], "step": saved["step"], "checkpoints": len(runs)}
        | {key: saved["args"][key] for key in ("seed", "batch", "lr", "ema", "steps")},
    }
    model = onnx_graph.with_initializers(onnx.load(out))
    model = with_half_storage(with_byte_storage(model) if small else model)
    entry = model.metadata_props.add()
    entry.key, entry.value = CARD_KEY, json.dumps(card)
    onnx.checker.check_model(model)
    onnx.save(model, out)
    Path(out).with_suffix(".json").write_text(json.dumps(card, indent=1) + "\n")
    return card


def _mean_weights(averages):
    """Mean of the moving averages of some runs, as a state dict of the network itself."""
    names = [name for name in averages[0] if name != "n_averaged"]
    mean = {name: torch.stack([average[name].double() for average in averages]).mean(0) for name in names}
    return {name.removeprefix("module."): mean[name].to(averages[0][name].dtype) for name in names}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("checkpoints", nargs="+", help="one, or several whose weights are averaged")
    p.add_argument("--card", required=True, help="JSON with name, estimator, data")
    p.add_argument("--metrics", help="JSON written by training.measure.evaluate, stored in the card")
    p.add_argument("--calibration", help="JSON written by training.deploy.calibrate_covariance, stored in the card")
    p.add_argument("--decode", help="centre or published: how a method with bins reads them")
    p.add_argument("--small", action="store_true", help="store the largest weights in 8 bits, the others in 16")
    p.add_argument("--out", required=True)
    args = p.parse_args()
    card = json.loads(Path(args.card).read_text())
    for key, path in (("metrics", args.metrics), ("calibration", args.calibration)):
        if path:
            card[key] = json.loads(Path(path).read_text())
    try:
        card = export(args.checkpoints, card, args.out, args.decode, args.small)
    except HpeError as error:
        raise SystemExit(f"export: error: {error}") from error
    data = Path(args.out).read_bytes()
    print(f"{args.out}: {len(data) / 1e6:.2f} MB, sha256 {hashlib.sha256(data).hexdigest()[:16]}, {card['training']}")


if __name__ == "__main__":
    main()
