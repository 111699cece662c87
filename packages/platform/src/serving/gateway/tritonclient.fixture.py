"""Talks to a gateway as users of tritonclient[http] do: python tritonclient.fixture.py host:port."""

import json
import sys

import numpy as np
import tritonclient.http as http
from tritonclient.utils import InferenceServerException

client = http.InferenceServerClient(sys.argv[1])
seen = {
    "live": client.is_server_live(),
    "ready": client.is_server_ready(),
    "model": client.is_model_ready("delay"),
    "unknown": client.is_model_ready("none"),
    "extensions": client.get_server_metadata()["extensions"],
    "metadata": client.get_model_metadata("delay"),
    "config": client.get_model_config("delay")["max_batch_size"],
    "index": client.get_model_repository_index(),
}


def infer(model, name, datatype, array, binary=True, outputs=None, **more):
    given = http.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array, binary_data=binary)
    return client.infer(model, [given], outputs=outputs, **more)


x = np.array([[1.5, -2.0], [3.0, 4.0]], dtype=np.float32)
seen["default"] = infer("delay", "x", "FP32", x).as_numpy("y").tolist()
seen["json"] = infer("delay", "x", "FP32", x, False, [http.InferRequestedOutput("y", binary_data=False)]).as_numpy("y").tolist()
packed = infer("delay", "x", "FP32", x, request_compression_algorithm="gzip", response_compression_algorithm="deflate")
seen["packed"] = packed.as_numpy("y").tolist()
wide = np.arange(4000, dtype=np.float32).reshape(2000, 2) / 7
big = infer("delay", "x", "FP32", wide[:1000], request_compression_algorithm="deflate", response_compression_algorithm="gzip")
seen["large"] = bool(np.array_equal(big.as_numpy("y"), wide[:1000]))
texts = np.array(["é".encode(), b""], dtype=np.object_)
seen["text"] = [one.decode() for one in infer("text", "x", "BYTES", texts).as_numpy("y").tolist()]
seen["exact"] = infer("int64", "x", "INT64", np.array([[9007199254740993, -1]])).as_numpy("y").astype(str).tolist()
seen["id"] = infer("delay", "x", "FP32", x, request_id="42").get_response().get("id")
half = np.array([[1, 2]], dtype=np.float16)
seen["half"] = infer("fp16", "x", "FP16", half).as_numpy("y").tolist()
classes = infer("delay", "x", "FP32", x, outputs=[http.InferRequestedOutput("y", class_count=1)])
seen["classes"] = [[one.decode() for one in row] for row in classes.as_numpy("y").tolist()]
stats = client.get_inference_statistics("delay")["model_stats"][0]["inference_stats"]
seen["successes"] = stats["success"]["count"]
try:
    infer("delay", "x", "FP32", np.zeros((1, 3), dtype=np.float32))
except InferenceServerException as error:
    seen["error"] = [error.status(), error.message()]
try:
    infer("none", "x", "FP32", x)
except InferenceServerException as error:
    seen["missing"] = error.status()
pending = [client.async_infer("delay", [given]) for given in [http.InferInput("x", [1, 2], "FP32").set_data_from_numpy(x[:1])]]
seen["async"] = [one.get_result().as_numpy("y").tolist() for one in pending]
print(json.dumps(seen))
