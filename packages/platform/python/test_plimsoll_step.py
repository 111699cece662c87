import json
import os
import tempfile
import unittest

import plimsoll_step


class StepTest(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        join = lambda name: os.path.join(self.folder.name, name)  # noqa: E731
        with open(join("in.json"), "w") as file:
            json.dump({"a": 1}, file)
        self.contract = {
            "version": 1,
            "run": "run_1",
            "step": "fit",
            "attempt": "7",
            "params": {"trees": 3},
            "inputs": {"set": {"type": "json", "digest": "sha256:0", "path": join("in.json"), "files": [join("in.json")]}},
            "outputs": {"metrics": {"path": join("metrics")}},
            "checkpoint_dir": join("checkpoint"),
            "events": join("events"),
        }
        self.path = join("step.json")
        with open(self.path, "w") as file:
            json.dump(self.contract, file)

    def test_load_gives_params_inputs_and_outputs(self):
        step = plimsoll_step.load(self.path)
        self.assertEqual(step.params, {"trees": 3})
        self.assertEqual(step.input("set").read_json(), {"a": 1})
        step.output("metrics").write_json({"auc": 0.5})
        with open(step.output("metrics").path) as file:
            self.assertEqual(json.load(file), {"auc": 0.5})

    def test_a_missing_name_lists_those_that_exist(self):
        step = plimsoll_step.load(self.path)
        with self.assertRaisesRegex(plimsoll_step.StepError, "there are: set"):
            step.input("sat")
        with self.assertRaisesRegex(plimsoll_step.StepError, "there are: metrics"):
            step.output("model")

    def test_progress_appends_json_lines(self):
        step = plimsoll_step.load(self.path)
        step.progress(0.5, "half")
        step.heartbeat()
        with open(self.contract["events"]) as file:
            lines = [json.loads(line) for line in file]
        self.assertEqual(lines, [{"t": "progress", "fraction": 0.5, "message": "half"}, {"t": "hb"}])

    def test_another_version_and_no_variable_are_refused(self):
        self.contract["version"] = 2
        with open(self.path, "w") as file:
            json.dump(self.contract, file)
        with self.assertRaisesRegex(plimsoll_step.StepError, "expected version 1"):
            plimsoll_step.load(self.path)
        os.environ.pop("PLIMSOLL_STEP", None)
        with self.assertRaisesRegex(plimsoll_step.StepError, "PLIMSOLL_STEP is not set"):
            plimsoll_step.load()


if __name__ == "__main__":
    unittest.main()
