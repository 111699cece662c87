"""The Python side of a step: inputs, params and outputs as files. Standard library only.

    import plimsoll_step
    step = plimsoll_step.load()
    rows = read(step.input("flights").files)
    step.output("metrics").write_json({"auc": 0.78})
"""

import json
import os


class StepError(Exception):
    """Something that the step asked for is not there. The message names what there is."""


class Input:
    """One input: `path` is the file or directory (of a dataset, its manifest), `files` its data files."""

    def __init__(self, name, described):
        self.name = name
        self.type = described["type"]
        self.digest = described["digest"]
        self.path = described["path"]
        self.files = list(described.get("files") or [described["path"]])

    def read_json(self):
        with open(self.path, encoding="utf-8") as file:
            return json.load(file)


class Output:
    """One declared output: leave it at `path`."""

    def __init__(self, name, described):
        self.name = name
        self.path = described["path"]

    def write_json(self, value):
        with open(self.path, "w", encoding="utf-8") as file:
            json.dump(value, file, sort_keys=True, allow_nan=False)


class Step:
    def __init__(self, contract):
        if contract.get("version") != 1:
            raise StepError("Cannot read the step: expected version 1, found %r" % contract.get("version"))
        self.run = contract["run"]
        self.name = contract["step"]
        self.attempt = contract["attempt"]
        self.params = contract["params"]
        self._checkpoint_dir = contract["checkpoint_dir"]
        self._inputs = contract["inputs"]
        self._outputs = contract["outputs"]
        self._events = contract["events"]

    @property
    def checkpoint_dir(self):
        """A directory that the next attempt of the step finds again; made when it is asked for."""
        os.makedirs(self._checkpoint_dir, mode=0o700, exist_ok=True)
        return self._checkpoint_dir

    def input(self, name):
        return Input(name, _pick(self._inputs, name, "input"))

    def output(self, name):
        return Output(name, _pick(self._outputs, name, "output"))

    def progress(self, fraction, message=""):
        """Shows how far the step is: `fraction` from 0 to 1."""
        self._event({"t": "progress", "fraction": float(fraction), "message": str(message)})

    def heartbeat(self):
        self._event({"t": "hb"})

    def _event(self, event):
        with open(self._events, "a", encoding="utf-8") as file:
            file.write(json.dumps(event) + "\n")


def _pick(described, name, what):
    if name not in described:
        known = ", ".join(sorted(described)) or "none"
        raise StepError("Cannot find %s %r of this step; there are: %s" % (what, name, known))
    return described[name]


def load(path=None):
    """Reads the step that this process runs: the file that PLIMSOLL_STEP names."""
    path = path or os.environ.get("PLIMSOLL_STEP")
    if not path:
        raise StepError("Cannot find the step: PLIMSOLL_STEP is not set; run this script as a step of a pipeline")
    with open(path, encoding="utf-8") as file:
        return Step(json.load(file))
