"""What the training steps share: reading a set, judging on its holdout, exporting to ONNX and tracking."""

import json
import os

import duckdb
import mlflow
import mlflow.onnx
import numpy
import onnx
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec
from onnx.reference import ReferenceEvaluator
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

AGREEMENT_ROWS = 512
AGREEMENT_TOLERANCE = 1e-5
PLAIN = ["hour", "day_of_week", "distance"]
POINT_IN_TIME = PLAIN + [
    "origin_delays__mean_delay_1h",
    "origin_delays__late_share_1h",
    "origin_delays__n_1h",
    "origin_delays__mean_delay_3h",
    "origin_delays__late_share_3h",
    "origin_delays__n_3h",
    "departures__n_1h",
    "route_delays__mean_delay_24h",
    "route_delays__late_share_24h",
    "route_delays__n_24h",
    "route_delays__mean_delay_7d",
    "route_delays__late_share_7d",
    "route_delays__n_7d",
    "arrivals_at_destination__mean_delay_1h",
    "arrivals_at_destination__late_share_1h",
    "arrivals_at_destination__mean_delay_3h",
    "arrivals_at_destination__late_share_3h",
    "arrivals_at_origin__mean_delay_1h",
    "arrivals_at_origin__late_share_1h",
    "arrivals_at_origin__n_1h",
    "arrivals_at_origin__mean_delay_3h",
    "arrivals_at_origin__late_share_3h",
]


class Rows:
    """Features as float32 [n, columns], missing values as NaN, and labels [n]."""

    def __init__(self, features, labels):
        self.features = features
        self.labels = labels

    def __len__(self):
        return len(self.labels)


def connect():
    connection = duckdb.connect()
    connection.execute("set threads = %d" % int(os.environ.get("OMP_NUM_THREADS", "2")))
    connection.execute("set memory_limit = '1200MB'")
    connection.execute("set timezone = 'UTC'")
    return connection


def as_float32(column):
    if numpy.ma.isMaskedArray(column):
        return column.astype(numpy.float32).filled(numpy.nan)
    return column.astype(numpy.float32)


def rows_of(connection, query, parameters, columns):
    found = connection.execute(query, parameters).fetchnumpy()
    return Rows(numpy.column_stack([as_float32(found[name]) for name in columns]), numpy.asarray(found["late"]).astype(numpy.int32))


def read_rows(files, split, columns):
    """The rows of one split of a set, in the order of departure: order is part of what makes training repeatable."""
    names = ", ".join('"%s"' % name for name in columns)
    query = "select %s, late from read_parquet(?) where split = ? order by date, flight_id" % names
    with connect() as connection:
        rows = rows_of(connection, query, [files, split], columns)
    if len(rows) == 0:
        raise SystemExit("The set has no row whose split is %s" % split)
    return rows


def judge(model, rows):
    score = model.predict_proba(rows.features)[:, 1]
    return {
        "auc": float(roc_auc_score(rows.labels, score)),
        "log_loss": float(log_loss(rows.labels, score)),
        "brier": float(brier_score_loss(rows.labels, score)),
        "late_share": float(rows.labels.mean()),
        "mean_score": float(score.mean()),
        "holdout_rows": len(rows),
    }


def round_thresholds_down(model):
    """Makes every split of a histogram boosting model a float32, so that ONNX takes the same branches.

    Features are float32: x <= t holds exactly when x <= the greatest float32 that is not above t.
    """
    for (trees,) in model._predictors:
        nodes = trees.nodes
        exact = nodes["num_threshold"]
        rounded = exact.astype(numpy.float32)
        above = rounded.astype(numpy.float64) > exact
        rounded[above] = numpy.nextafter(rounded[above], numpy.float32(-numpy.inf))
        nodes["num_threshold"] = rounded


def export(model, columns):
    """ONNX with one input `features`, float32 [n, columns], and the outputs `label` and `probabilities` [n, 2]."""
    exported = to_onnx(model, initial_types=[("features", FloatTensorType([None, len(columns)]))], options={id(model): {"zipmap": False}}, target_opset={"": 17, "ai.onnx.ml": 3})
    onnx.helper.set_model_props(exported, {"columns": json.dumps(columns)})
    return exported


def greatest_difference(model, exported, features):
    """Greatest difference between the probabilities of the model and of its export, on a few hundred rows."""
    sample = features[:: max(1, len(features) // AGREEMENT_ROWS)][:AGREEMENT_ROWS]
    _label, probabilities = ReferenceEvaluator(exported).run(None, {"features": sample})
    difference = float(numpy.abs(probabilities[:, 1] - model.predict_proba(sample)[:, 1]).max())
    if not difference <= AGREEMENT_TOLERANCE:
        raise SystemExit("The exported model differs from the trained one by %g, more than %g" % (difference, AGREEMENT_TOLERANCE))
    return difference


def signature(columns):
    inputs = Schema([TensorSpec(numpy.dtype("float32"), (-1, len(columns)), "features")])
    outputs = Schema([TensorSpec(numpy.dtype("int64"), (-1,), "label"), TensorSpec(numpy.dtype("float32"), (-1, 2), "probabilities")])
    return ModelSignature(inputs=inputs, outputs=outputs)


def track(step, params, metrics, exported, columns):
    """Logs to the tracked run that the environment names; without one (a step run by hand), does nothing."""
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        return
    with mlflow.start_run():
        mlflow.log_params(params)
        mlflow.log_metrics({name: value for name, value in metrics.items() if isinstance(value, (int, float))})
        mlflow.set_tags({"holdout": "2001-04-01..2001-04-14", "set": step.input("set").digest, "columns": str(len(columns))})
        mlflow.log_artifact(step.output("metrics").path)
        requirements = ["onnx==%s" % onnx.__version__, "numpy==%s" % numpy.__version__]
        mlflow.onnx.log_model(exported, name="model", signature=signature(columns), pip_requirements=requirements, save_as_external_data=False)


def train_and_judge(step, model, columns, finish=None):
    """The whole of a training step: read, fit, judge on the holdout, export, check the export, write, track."""
    files = step.input("set").files
    step.progress(0.05, "reading January to March")
    train = read_rows(files, "train", columns)
    step.progress(0.2, "training on %d flights" % len(train))
    model.fit(train.features, train.labels)
    if finish:
        finish(model)
    step.progress(0.6, "judging on 1 to 14 April")
    holdout = read_rows(files, "holdout", columns)
    metrics = judge(model, holdout)
    metrics["train_rows"] = len(train)
    exported = export(model, columns)
    metrics["export_difference"] = greatest_difference(model, exported, holdout.features)
    with open(step.output("model").path, "wb") as file:
        file.write(exported.SerializeToString(deterministic=True))
    described = dict(metrics, columns=columns, holdout={"set": step.input("set").digest, "split": "holdout", "since": "2001-04-01", "until": "2001-04-15"})
    step.output("metrics").write_json(described)
    step.progress(0.85, "tracking")
    track(step, step.params, metrics, exported, columns)
    step.progress(1, "AUC %.3f" % metrics["auc"])
    print(json.dumps(metrics, indent=2))
