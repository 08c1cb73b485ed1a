"""The table of mistakes is read strictly, and a mistake that does not fit is an error."""
import importlib.machinery
import importlib.util
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("mutants", str(Path(__file__).parent / "mutants"))
mutants = importlib.util.module_from_spec(importlib.util.spec_from_loader("mutants", loader))
loader.exec_module(mutants)

GOOD = "# why\n\n[ties]\nrule: a: rule\nfile: a.cpp\nold: x < y ? 1 : 2;\nnew: x > y ? 1 : 2;\n"


class Table(unittest.TestCase):
    def test_values_may_hold_colons(self):
        self.assertEqual(mutants.read_table(GOOD), [{
            "name": "ties", "rule": "a: rule", "file": "a.cpp",
            "edits": [["x < y ? 1 : 2;", "x > y ? 1 : 2;"]]}])

    def test_several_pairs(self):
        edits = mutants.read_table(GOOD + "old: a\nnew:\n")[0]["edits"]
        self.assertEqual(edits[1:], [["a", ""]])

    def test_new_may_be_empty_and_old_may_not(self):
        self.assertEqual(mutants.read_table(GOOD.replace("x > y ? 1 : 2;", ""))[0]["edits"][0][1], "")
        with self.assertRaises(SystemExit):
            mutants.read_table(GOOD.replace("x < y ? 1 : 2;", ""))

    def test_what_is_wrong_is_refused(self):
        for text in (GOOD + GOOD, GOOD + "new: twice\n", GOOD + "old: no new\n", GOOD + "rule: twice\n", GOOD + "nonsense\n", "old: before a name\n",
                     GOOD.replace("rule: a: rule\n", "")):
            with self.subTest(text), self.assertRaises(SystemExit):
                mutants.read_table(text)


class Mutation(unittest.TestCase):
    def apply(self, source):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "a.cpp").write_text(source)
            return mutants.mutated({"name": "m", "file": "a.cpp", "edits": [["a < b", "b < a"]]}, Path(folder))

    def test_it_is_made_once(self):
        self.assertEqual(self.apply("if (a < b)\n  c < d;\n"), "if (b < a)\n  c < d;\n")

    def test_an_old_text_that_is_not_there_exactly_once_is_an_error(self):
        for source in ("if (a > b)", "a < b, a < b"):
            with self.subTest(source), self.assertRaises(ValueError):
                self.apply(source)


if __name__ == "__main__":
    unittest.main()
