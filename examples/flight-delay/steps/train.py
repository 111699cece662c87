"""Trains one model on the plain features and judges it on 1–14 April. Run as a step; tracked with the real mlflow client."""

import duckdb
import mlflow
import numpy
import plimsoll_step
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

FEATURES = ["hour", "day_of_week", "distance"]
TRAIN = ("2001-01-08 00:00:00Z", "2001-04-01 00:00:00Z")
HOLDOUT = ("2001-04-01 00:00:00Z", "2001-04-15 00:00:00Z")


def read(files, since, until):
    """Features as float32 [n, 3] and labels [n] of the flights that departed in [since, until), UTC."""
    query = "select hour, day_of_week, distance, late from read_parquet(?) where date >= ?::timestamptz and date < ?::timestamptz order by date, flight_id"
    with duckdb.connect() as connection:
        rows = connection.execute(query, [list(files), since, until]).fetchnumpy()
    features = numpy.column_stack([rows[name].astype(numpy.float32) for name in FEATURES])
    return features, numpy.asarray(rows["late"])


def build(params):
    if params["model"] == "logistic":
        return make_pipeline(StandardScaler(), LogisticRegression(max_iter=200))
    return HistGradientBoostingClassifier(max_iter=params["trees"], max_leaf_nodes=31, early_stopping=False, random_state=7)


def main():
    step = plimsoll_step.load()
    files = step.input("flights").files
    step.progress(0.1, "reading January to March")
    features, late = read(files, *TRAIN)
    every = step.params["sample"]
    features, late = features[::every], late[::every]
    step.progress(0.3, "training on %d flights" % len(late))
    model = build(step.params).fit(features, late)

    step.progress(0.7, "judging on 1 to 14 April")
    held_out, truth = read(files, *HOLDOUT)
    score = model.predict_proba(held_out)[:, 1]
    metrics = {
        "auc": float(roc_auc_score(truth, score)),
        "log_loss": float(log_loss(truth, score)),
        "brier": float(brier_score_loss(truth, score)),
        "holdout_rows": int(len(truth)),
    }
    options = {id(model): {"zipmap": False}}
    onnx_model = to_onnx(model, initial_types=[("features", FloatTensorType([None, len(FEATURES)]))], options=options, target_opset=17)
    with open(step.output("model").path, "wb") as file:
        file.write(onnx_model.SerializeToString())
    step.output("metrics").write_json(metrics)

    with mlflow.start_run():
        mlflow.log_params({name: step.params[name] for name in ("model", "sample")})
        mlflow.log_metrics(metrics)
        mlflow.set_tags({"holdout": "2001-04-01..2001-04-14", "rows": len(late)})
        mlflow.log_artifact(step.output("metrics").path)
    step.progress(1, "AUC %.3f" % metrics["auc"])
    print(metrics)


main()
