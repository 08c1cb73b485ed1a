"""deploy/grafana/vorrang.json against Grafana's own model of a dashboard. What its queries find in a
real Prometheus is tested by tests/system/test_metrics.py."""

import json
import re
import subprocess
import unittest

from shipped import SOURCE, tool

BOARD = SOURCE / "deploy" / "grafana" / "vorrang.json"


def lost(board):
    done = subprocess.run(
        [tool("python"), SOURCE / "tests" / "package" / "dashboard_model.py"], input=json.dumps(board),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


class Dashboard(unittest.TestCase):
    def setUp(self):
        self.board = json.loads(BOARD.read_text(encoding="utf-8"))

    def test_grafana_knows_every_field(self):
        # The text of a variable's query, which Grafana writes beside the query itself.
        others = [each for each in lost(self.board) if not re.fullmatch(r"/templating/list/\d+/definition", each)]
        self.assertEqual(others, [])

    def test_that_bites(self):
        self.board["panels"][1]["options"]["colourMode"] = "value"
        self.board["panels"][2]["gridPosition"] = {}
        found = lost(self.board)
        self.assertIn("/panels/1/options/colourMode", found)
        self.assertIn("/panels/2/gridPosition", found)

    def test_no_panels_overlap(self):
        taken = {}
        for panel in self.board["panels"]:
            at = panel["gridPos"]
            self.assertLessEqual(at["x"] + at["w"], 24, panel["title"])
            for x in range(at["x"], at["x"] + at["w"]):
                for y in range(at["y"], at["y"] + at["h"]):
                    self.assertIsNone(taken.setdefault((x, y), None), (panel["title"], taken[x, y]))
                    taken[x, y] = panel["title"]

    def test_the_data_source_is_the_variable_everywhere(self):
        sources = []

        def collect(part):
            for name, value in part.items() if isinstance(part, dict) else ():
                if name == "datasource":
                    sources.append(value)
            for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
                collect(each)

        collect(self.board)
        self.assertGreater(len(sources), 40)
        for each in sources:
            self.assertEqual(each, {"type": "prometheus", "uid": "${datasource}"})
        self.assertNotIn("__inputs", self.board)  # so Grafana asks nothing that it could not answer


if __name__ == "__main__":
    unittest.main()
