"""`hpe engine build|list|prune|check`."""

import argparse
import functools
from pathlib import Path

from hpe_core.cli.progress import StatusLine
from hpe_core.cli.terminal import EXIT_BAD_INPUT, EXIT_OK
from hpe_core.errors import HpeError

DESCRIPTION = """\
TensorRT engines in the cache ($HPE_ENGINE_CACHE, else ~/.cache/hpe/engines). The backend `tensorrt` builds what it
needs when it is loaded; these commands do it ahead, look and clean up."""


def add_parsers(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Hang `engine` and its commands under an argparse subparsers object; each sets `command`."""
    engine = subparsers.add_parser(
        "engine", help="build, list, prune and check TensorRT engines", description=DESCRIPTION
    )
    commands = engine.add_subparsers(title="commands", metavar="COMMAND", required=True)

    build = commands.add_parser(
        "build", help="build the engine of a model and of its preprocessing, compare them with ONNX Runtime"
    )
    build.add_argument("model", metavar="MODEL", help="model name as `hpe models` lists it, or an .onnx file")
    build.add_argument("--precision", choices=("fp16", "fp32", "int8"), help="default: int8 for Q/DQ models, else fp16")
    build.add_argument(
        "--max-batch", metavar="N", type=int, help="images per call, 1 to 16 (default: 16 for crops, else 1)"
    )
    build.add_argument(
        "--detector-size",
        metavar="PX",
        type=int,
        default=0,
        help="width of the images that a whole-image network takes (default: 320)",
    )
    build.add_argument(
        "--compute-capability",
        metavar="X.Y",
        action="append",
        help="build for other GPUs, e.g. 8.6 (needs tensorrt_rtx, no GPU; compared when it is first loaded there)",
    )
    build.set_defaults(command=_build)

    show = commands.add_parser("list", help="list the engines in the cache")
    show.set_defaults(command=_list)

    prune = commands.add_parser("prune", help="delete damaged and outdated engines")
    which = prune.add_mutually_exclusive_group()
    which.add_argument("--all", action="store_true", help="delete every engine")
    which.add_argument("--refused", action="store_true", help="also those that the comparison refused")
    prune.set_defaults(command=_prune)

    check = commands.add_parser("check", help="verify every engine in the cache; exit code 2 when one is invalid")
    check.set_defaults(command=_check)
    for command in (build, show, prune, check):
        command.add_argument("--cache", metavar="DIR", help="folder of the engines")


def _build(args):
    from hpe_core import catalogue
    from hpe_core.backends.tensorrt import builder

    model_path, store = catalogue.path_of(args.model), _store(args)
    if args.compute_capability:
        trt = builder.load()
        for capability in args.compute_capability:
            _build_ahead(trt, store, model_path, capability, args)
        return EXIT_OK
    from hpe_core.backends.tensorrt import backend as tensorrt

    reason = tensorrt.unavailable()
    if reason:
        raise HpeError(
            f"no engine can be built for this machine: {reason}; --compute-capability builds for another (tensorrt_rtx)"
        )
    with StatusLine() as progress:
        backend = tensorrt.Backend(
            model_path, 0, progress, args.precision, args.max_batch, store.folder, args.detector_size
        )
    print(f"{backend.key.stem}: {_types_text(backend.facts)}, {_parity_text(backend.parity)}")
    for entry in backend.sampler_entries:
        print(_line(entry))
    return EXIT_OK


def _build_ahead(trt, store, model_path, capability, args):
    from hpe_core.backends.tensorrt import builder, make, network_file, sampler

    builder.capability_value(trt, capability)  # before anything is built
    network = network_file.read(model_path, args.detector_size)
    key = make.key_for(trt, network, None, capability, args.precision, args.max_batch)
    with StatusLine() as progress:
        build = functools.partial(make.build, trt, network, key, True, progress)
        entries = [store.obtain(key, build, lambda entry: entry, progress)]
        for wanted in sampler.samplers_of(network.card, key.max_batch):
            sampler_key = make.sampler_key(trt, wanted, None, capability)
            build = functools.partial(make.build_sampler, trt, wanted, sampler_key, True, progress)
            entries.append(store.obtain(sampler_key, build, lambda entry: entry, progress))
    for entry in entries:
        print(_line(entry))


def _line(entry):
    text = f"{_types_text(entry.facts)}, {_verdict(entry)}"
    return f"{entry.key.stem}: {len(entry.plan) / 1e6:.1f} MB, {text}"


def _list(args):
    store = _store(args)
    found = store.entries()
    for entry, problem in found:
        if entry is None:
            print(f"damaged: {problem}")
            continue
        key = entry.key
        batch = f"batch 1 to {key.max_batch}" if key.max_batch > 1 else "batch 1"
        gpu = f"compute capability {key.compute_capability}, GPU {key.gpu}"
        print(f"{key.stem}\n  {batch}, {gpu}, {key.library}, {len(entry.plan) / 1e6:.1f} MB, {entry.created}")
        print(f"  {_types_text(entry.facts)}, {_verdict(entry)}")
    print(f"{len(found)} engines in {store.folder}")
    return EXIT_OK


def _prune(args):
    from hpe_core.backends.tensorrt import builder

    store = _store(args)
    library = None
    if not args.all and builder.installed():
        library = builder.describe(builder.load())
    shipped = _shipped()
    for name in store.prune(
        lambda entry: not (args.all or _outdated(entry, library, shipped) or (args.refused and _refusal(entry)))
    ):
        print(f"deleted {name}")
    print(f"{len(store.entries())} engines left in {store.folder}")
    return EXIT_OK


def _shipped():
    """dict model name -> SHA-256 of its file, of the models that come with the package."""
    from hpe_core import catalogue

    names = catalogue.networks() + catalogue.zoo()
    return {name: catalogue.sha256_of(catalogue.read(catalogue.path_of(name))) for name in names}


def _outdated(entry, library, shipped):
    """Whether no program of this version asks for it again: another library, recipe or edition of a shipped model."""
    from hpe_core.backends.tensorrt import sampler
    from hpe_core.backends.tensorrt.key import RECIPE

    key = entry.key
    if (library is not None and key.library != library) or key.recipe != RECIPE:
        return True
    if "sampler" in entry.facts:
        return not sampler.is_current(entry.facts["sampler"], key.onnx_sha256)
    return shipped.get(key.model, key.onnx_sha256) != key.onnx_sha256


def _check(args):
    from hpe_core.backends.tensorrt import builder, gpu

    store, bad = _store(args), 0
    device, no_gpu = gpu.find()
    trt = builder.load() if device and builder.installed() else None
    for entry, problem in store.entries():
        if entry is not None:
            problem = _refusal(entry)
            if trt and device and problem is None and _is_for(entry.key, trt, device):
                problem = _loading_problem(trt, entry)
        bad += problem is not None
        name = entry.key.stem if entry else "damaged"
        verdict = problem if entry is None or problem else _parity_text(entry.parity)
        print(f"{name}: {verdict}")
    loads = "those for this GPU load" if trt else f"loading was not tried ({no_gpu or 'no TensorRT is installed'})"
    print(f"{len(store.entries())} engines in {store.folder}, {bad} invalid; {loads}")
    return EXIT_BAD_INPUT if bad else EXIT_OK


def _is_for(key, trt, device):
    from hpe_core.backends.tensorrt import builder
    from hpe_core.backends.tensorrt.key import ANY

    here = key.compute_capability == device.compute_capability and key.gpu in (ANY, device.name)
    return here and key.library == builder.describe(trt)


def _loading_problem(trt, entry):
    from hpe_core.backends.tensorrt import builder

    try:
        builder.open_engine(trt, entry.plan)
    except HpeError as error:
        return str(error)
    return None


def _store(args):
    from hpe_core.backends.tensorrt.store import EngineStore

    return EngineStore(Path(args.cache) if args.cache else None)


def _refusal(entry):
    from hpe_core.backends.tensorrt import parity

    return parity.refusal(entry.parity, entry.key.precision) if entry.parity else None


def _verdict(entry):
    return f"refused: {_refusal(entry)}" if _refusal(entry) else _parity_text(entry.parity)


def _types_text(facts):
    """What a strongly typed engine computes in: it has no choice, so this is what was achieved."""
    types = facts.get("types")
    if not types:
        return "types unknown"
    text = f"{types['float16']} of {types['nodes']} nodes in float16"
    return text + (f", {types['quantised']} Q/DQ nodes" if types["quantised"] else "")


def _parity_text(parity):
    if parity is None:
        return "not yet compared with ONNX Runtime (no GPU so far)"
    if "grey_levels" in parity:
        return f"{parity['grey_levels']:.3f} grey levels from ONNX Runtime (worst mean of {parity['rows']} canvases)"
    return f"{parity['rotation_deg_median']:.3f} deg from ONNX Runtime (median of {parity['rows']} rows)"
