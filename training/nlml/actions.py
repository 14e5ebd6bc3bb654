"""What `hpe nlml build|fit|train|evaluate` do."""

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from hpe_core.errors import HpeError
from hpe_core.io.out_folder import OutFolder, check_new_file, new_file
from hpe_core.nlml.model import load as load_model
from hpe_core.nlml.model import shipped
from training.nlml import heads, samples, sources, tensor
from training.nlml import settings as settings_module
from training.nlml.measure import evaluate as ev
from training.nlml.measure import study

IDENTITY_COUNTS = (10, 20, 60, 120, 240)
FIT_NAMES = ("nlml.npz", "nlml.json", "report.json")
FIT_NAMES += ("singular_values.png", "identity_directions.png", "factor_curves.png")


def build(args: argparse.Namespace) -> int:
    """A tensor, or samples of shards or labelled images."""
    if args.shards or args.images:
        return _build_samples(args)
    over = {k: v for k, v in (("detector", args.detector), ("folder", args.folder)) if v}
    if args.folder:
        over["source"] = "folder"
    settings = _settings(args, tensor=over).tensor
    data = args.data or heads.DATA
    if settings.source == "heads":
        source = sources.HeadSource(settings, data)
    else:
        from training.nlml.detector import CropDetector

        if not settings.detector:
            raise HpeError(f"source '{settings.source}' needs --detector FILE.onnx, the crop network")
        detector = CropDetector(settings.detector)
        source = (
            sources.RenderSource(settings, detector, data)
            if settings.source == "renders"
            else sources.FolderSource(settings, detector, tensor.grids_of(settings))
        )
    built = tensor.build(args.out, source, settings)
    print(f"{args.out}: {' x '.join(map(str, built.points.shape))} float32, {built.points.nbytes / 1e6:.0f} MB")
    print(f"cells     {built.measured.size}, {built.missing} missing")
    if settings.source == "folder":
        print(f"images    {source.off_grid} off the grid, {source.unnamed} without angles in their names,")
        print(f"          {source.without_face} without a face")
    return 0


def _build_samples(args):
    from training.nlml.detector import CropDetector

    if not args.detector:
        raise HpeError("measuring images needs --detector FILE.onnx, the crop network")
    check_new_file(args.out, args.overwrite, [args.detector])
    detector = CropDetector(args.detector)
    if args.shards:
        made = samples.from_shards(args.shards, detector, args.limit)
    else:
        made = samples.from_images(args.images, detector)
    with new_file(args.out, args.overwrite, [args.detector]) as path:
        made.save(path)
    print(
        f"{args.out}: {len(made)} faces of {len(np.unique(made.person))} people, {int((~made.found).sum())} not found"
    )
    return 0


def fit(args: argparse.Namespace) -> int:
    """Model, report.json and plots in the output folder."""
    settings, built = _settings(args).fit, tensor.load(args.tensor)
    read = [path for path in (args.samples, args.config) if path]
    with OutFolder(args.out, "nlml fit", FIT_NAMES, args.overwrite, read) as folder:
        _fit(args, settings, built, folder.staged)
        for path in folder.place():
            print(f"written   {path}")
    return 0


def _fit(args, settings, built, folder):
    from training.nlml.adapt import adapt
    from training.nlml.fit import fit as fit_tensor
    from training.nlml.measure import plots

    fitted = fit_tensor(built, settings, _card(), print)
    model = fitted.model
    if args.samples:
        measured = samples.load(args.samples)
        model = adapt(model, measured, say=print)
        photos = {
            "name": f"{len(measured)} training faces of {Path(args.samples).name}",
            "use": "bias and noise of the detector",
        }
        model = replace(model, card=model.card | {"data": [*model.card.get("data", []), photos]})
    report = {
        "functions": model.basis.size,
        "identity_directions": model.identities,
        "feature_directions": model.features.shape[1],
        "energy_kept": fitted.energy_kept,
        "residual_rms_mm": 1e3 * fitted.residual_rms,
        "cells": fitted.cells,
        "missing_cells": fitted.missing,
        "filling_rounds": fitted.rounds,
        "pose_energy_kept": None if fitted.pose is None else fitted.pose.kept,
        "curve_misfits": None if fitted.curve_misfits is None else [m.tolist() for m in fitted.curve_misfits],
        "settings": asdict(settings),
    }
    plots.singular_values(fitted, folder)
    plots.identity_faces(model, folder)
    if fitted.pose is not None:
        plots.factor_curves(fitted, built, folder)
    if args.compare:
        print(study.TABLE_HEADING)
        report["comparison"] = study.compare(built, settings)
    model.save(folder / "nlml.npz")
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")


def train(args: argparse.Namespace) -> int:
    """ff.onnx in the output folder, compared with the model it was made from."""
    from training.nlml import train_ff

    settings = _settings(args)
    model, built = load_model(args.model), tensor.load(args.tensor)
    path = train_ff.train(model, built, settings.fit, settings.train, args.out)
    print(f"written   {path}, {Path(path).stat().st_size / 1e6:.2f} MB")
    return 0


def evaluate(args: argparse.Namespace) -> int:
    """Errors on samples, or on synthetic faces when none are given; the study of identity numbers with --tensor."""
    if args.original:
        from hpe_core.nlml.original import load_original

        model = load_original(*args.original)
    else:
        model = load_model(args.model or shipped())
    data = args.data or heads.DATA
    sets = {Path(path).stem: samples.load(path) for path in args.samples or ()}
    if not sets:
        span = {"limits_deg": model.limits_deg, "order": model.order, "data": data}
        sets["synthetic, exact"] = samples.synthetic(args.faces, **span)
        sets["synthetic, noise"] = samples.synthetic(args.faces, **span, noise=heads.DetectorNoise())
    if not args.out:
        _evaluate(args, model, sets, None)
        return 0
    given = (args.model, args.feed_forward, args.adapt, *(args.original or ()), *(args.samples or ()))
    read = [path for path in given if path]
    with OutFolder(args.out, "nlml evaluate", ("results.json",), args.overwrite, read) as folder:
        _evaluate(args, model, sets, folder.staged)
        for path in folder.place():
            print(f"written   {path}")
    return 0


def _evaluate(args, model, sets, folder):
    """Print the errors; results.json and plots go into the folder, if there is one."""
    results = {"window": args.window}
    print(ev.HEADING)
    for name, faces in sets.items():
        results[name] = {"td": ev.model_scores(model, faces, args.window)}
        print(ev.line(f"{name}: TD", results[name]["td"]))
        if args.feed_forward:
            results[name]["ff"] = _feed_forward(args, model, faces, name)
        if folder:
            from training.nlml.measure import plots

            R, found = ev.estimate(model, faces)
            ok = found.converged
            if ok.any():
                error = np.degrees(ev.so3.geodesic_angle(R[ok], faces.R_local[ok]))
                plots.error_by_angle(error, ev.angles_of(faces.R_local[ok]), folder, f"error_{name.split(',')[0]}.png")
    if args.tensor:
        results["identities"] = _identities(args, next(reversed(sets.values())), folder)
    if folder:
        (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")


def _feed_forward(args, model, faces, name):
    from hpe_core import catalogue
    from hpe_core.backends import onnxruntime

    path = args.feed_forward
    R = feed_forward(onnxruntime.function_of(catalogue.read(path), 1, path), faces)
    result = ev.scores(R, faces, args.window)
    print(ev.line(f"{name}: FF", result))
    R_td, found = ev.estimate(model, faces)
    both = found.converged & np.isfinite(R).all((1, 2))
    apart = np.degrees(ev.so3.geodesic_angle(R[both], R_td[both]))
    result["from_td_median_deg"] = round(float(np.median(apart)), 3)
    print(f"{'':34} FF and TD are {result['from_td_median_deg']:.2f} deg apart (median)")
    return result


def feed_forward(run, faces):
    """R_local (N, 3, 3) of Samples by a network, a function of `landmarks`; NaN where no face was found."""
    x = np.concatenate([faces.points, faces.visible[..., None]], -1).astype(np.float32)
    R = np.full((len(faces), 3, 3), np.nan)
    found = faces.found
    if found.any():
        R[found] = run(landmarks=x[found])[:, :9].reshape(-1, 3, 3)
    return R


def _identities(args, faces, folder):
    built, settings = tensor.load(args.tensor), settings_module.FitSettings()
    learn = None
    if args.adapt:
        from training.nlml.adapt import adapt

        measured = samples.load(args.adapt)

        def learn(model):
            return adapt(model, measured)

    rows = study.against_identities(built, settings, faces, IDENTITY_COUNTS, learn)
    print("identities  directions  geodesic median   mean  failures")
    for row in rows:
        print(
            f"{row['identities']:10}  {row['directions']:10}  {row['geodesic_median_deg']:15.2f}  "
            f"{row['geodesic_mean_deg']:5.2f}  {row['failures']} of {row['faces']}"
        )
    if folder:
        from training.nlml.measure import plots

        plots.error_by_identities(rows, folder)
    return rows


def _settings(args, **groups):
    groups = {name: dict(values) for name, values in groups.items()}
    for text in args.set:
        name, equals, value = text.partition("=")
        group, dot, key = name.partition(".")
        if not (equals and dot):
            raise HpeError(f"--set takes GROUP.NAME=VALUE, got '{text}'")
        from hpe_core.io.yaml_file import parse_mapping

        groups.setdefault(group, {}).update(parse_mapping(f"{key}: {value}", f"--set {text}"))
    return settings_module.load(args.config, **groups)


def _card():
    from training.fit import commit

    return {
        "name": "nlml",
        "method": "tensor manifold of landmarks, MAP by Levenberg-Marquardt",
        "source": "arXiv 2507.18429",
        "licence": "Apache-2.0",
        "data": [{"name": "ICT-FaceKit", "licence": "MIT", "use": "identities and expressions"}],
        "training": {"commit": commit()},
    }
