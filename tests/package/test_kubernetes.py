"""The manifests of deploy/kubernetes: rendered by kubectl, held against the schemas of Kubernetes' API,
and against what the gateway itself does with their configuration."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import unittest

from shipped import SOURCE, expect, run, tool

from gateway import clean_environment  # of tests/system

FOLDER = SOURCE / "deploy" / "kubernetes"
VERSIONS = ("1.30", "1.34", "1.37")
TO_JSON = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(sys.stdin))))"


def rendered(folder):
    return expect(tool("kubectl"), "kustomize", folder)


def objects(text):
    done = subprocess.run([tool("python"), "-c", TO_JSON], input=text, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return {(each["kind"], each["metadata"]["name"]): each for each in json.loads(done.stdout)}


class Manifests(unittest.TestCase):
    def validate(self, text):
        with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
            file.write(text)
            file.flush()
            for version in VERSIONS:
                status, said = run(tool("kubernetes-validate"), "--strict", "-k", version, file.name)
                self.assertEqual(status, 0, said)
                self.assertNotIn("ERROR", said)

    def test_schemas(self):
        for name in ("base", "several"):
            with self.subTest(name):
                self.validate(rendered(FOLDER / name))
        self.validate((FOLDER / "base" / "secret.example.yaml").read_text())

    def test_the_validation_bites(self):
        text = rendered(FOLDER / "base").replace("terminationGracePeriodSeconds", "terminationGraceSeconds")
        with self.assertRaises(AssertionError):
            self.validate(text)

    def test_probes_ports_and_times(self):
        for name in ("base", "several"):
            found = objects(rendered(FOLDER / name))
            deployment = found["Deployment", "vorrang"]["spec"]
            pod = deployment["template"]["spec"]
            container = pod["containers"][0]
            settings = found["ConfigMap", "vorrang"]["data"]["config.yaml"]
            with self.subTest(name):
                self.assertEqual(container["readinessProbe"]["httpGet"]["path"], "/health/readiness")
                self.assertEqual(container["livenessProbe"]["httpGet"]["path"], "/health/liveliness")
                # The operator's port is nobody's.
                self.assertEqual([each["containerPort"] for each in container["ports"]], [4000])
                wait_s = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
                drain_s = int(re.search(r"drain_timeout: (\d+)", settings).group(1))
                self.assertGreater(pod["terminationGracePeriodSeconds"], wait_s + drain_s + 2)
                probe = container["readinessProbe"]
                self.assertGreaterEqual(wait_s, probe["periodSeconds"] * probe["failureThreshold"])
                bytes_max = int(re.search(r"max_queue_bytes: (\d+)", settings).group(1))
                self.assertEqual(container["resources"]["limits"]["memory"], "1Gi")
                self.assertLess(2 * bytes_max, 2**30)
                # Whoever is selected is there.
                labels = deployment["template"]["metadata"]["labels"].items()
                for selector in (deployment["selector"]["matchLabels"], found["Service", "vorrang"]["spec"]["selector"]):
                    self.assertLessEqual(selector.items(), labels)
        budget = found["PodDisruptionBudget", "vorrang"]["spec"]["selector"]["matchLabels"]
        self.assertLessEqual(budget.items(), labels)
        self.assertNotIn("replicas", deployment)  # the autoscaler's
        self.assertEqual(deployment["strategy"]["type"], "RollingUpdate")

    def test_the_users_of_image_and_pod_are_the_same(self):
        pod = objects(rendered(FOLDER / "base"))["Deployment", "vorrang"]["spec"]["template"]["spec"]
        user = str(pod["securityContext"]["runAsUser"])
        image = (SOURCE / "Dockerfile").read_text()
        self.assertIn(f"--uid {user} ", image)
        self.assertIn(f"\nUSER {user}:{user}\n", image)

    def test_the_image_is_of_this_version(self):
        version = expect(os.environ["VORRANG_BINARY"], "--version").split()[1]
        for name in ("base", "several"):
            pod = objects(rendered(FOLDER / name))["Deployment", "vorrang"]["spec"]["template"]["spec"]
            self.assertEqual(pod["containers"][0]["image"], f"registry.example.com/vorrang:{version}")

    def test_the_gateway_takes_the_configuration(self):
        secret = objects((FOLDER / "base" / "secret.example.yaml").read_text())["Secret", "vorrang"]["stringData"]
        for name in ("base", "several"):
            found = objects(rendered(FOLDER / name))
            with self.subTest(name), tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "config.yaml"
                path.write_text(found["ConfigMap", "vorrang"]["data"]["config.yaml"])
                done = subprocess.run(
                    [os.environ["VORRANG_BINARY"], "--check-config", "--config", path], text=True,
                    capture_output=True, env=clean_environment(**secret), timeout=30,
                )  # fmt: skip
                self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
                self.assertIn("0 errors, 0 warnings", done.stdout)


class Image(unittest.TestCase):
    def test_hadolint(self):
        # DL3008 wants versions of Debian's packages: they change with each update of security.
        status, text = run(tool("hadolint"), "--failure-threshold", "style", "--ignore", "DL3008",
                           SOURCE / "Dockerfile")  # fmt: skip
        self.assertEqual((status, text.strip()), (0, ""))

    def test_nothing_but_sources_goes_in(self):
        ignored = (SOURCE / ".dockerignore").read_text().splitlines()
        for name in ("build", ".git"):
            self.assertIn(name, ignored)


if __name__ == "__main__":
    unittest.main()
