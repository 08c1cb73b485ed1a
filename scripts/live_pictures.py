#!/usr/bin/env python3
"""Makes docs/admin-light.png, -dark.png and -phone.png: the live page under a load of its own.

    python3 scripts/live_pictures.py [--binary build/release/vorrang] [--seconds 150]

Needs Debian's chromium, chromium-driver and python3-selenium; with Pillow the files are smaller.
"""

import argparse
import os
import pathlib
import random
import sys
import threading
import time

try:
    from PIL import Image
except ImportError:
    Image = None

root = pathlib.Path(__file__).resolve().parent.parent
sys.path[:0] = [str(root / "tests" / "system"), str(root / "tests")]

SCENE = """
model_list:
  - model_name: chat-large
    litellm_params: {{model: openai/x, mock_response: "hi", mock_delay: 2, max_parallel_requests: 3, rpm: 90}}
    model_info: {{id: large-eu}}
  - model_name: chat-large
    litellm_params: {{model: openai/x, mock_response: "hi", mock_delay: 3, max_parallel_requests: 2, tpm: 4000}}
    model_info: {{id: large-us}}
  - model_name: chat-large
    litellm_params: {{model: openai/x, api_base: "{busy}", api_key: k, max_parallel_requests: 2}}
    model_info: {{id: large-partner}}
  - model_name: chat-small
    litellm_params: {{model: openai/x, mock_response: "hi", mock_delay: 0.3, max_parallel_requests: 8}}
  - model_name: embeddings
    litellm_params: {{model: openai/x, mock_response: "hi", rpm: 40}}
router_settings:
  timeout: 300
"""


def send(gateway, client, model, priority):
    def one():
        connection = None
        try:
            connection = gateway.connect(400)
            connection.chat(client.chat_body("hi", model, priority=priority))
            connection.read_response(400)
        except (AssertionError, OSError):
            pass  # the scene is over
        finally:
            if connection:
                connection.close()

    threading.Thread(target=one, daemon=True).start()


def ask_on(gateway, client, until):
    """Clients that come and go: more than the models can take."""
    rng = random.Random(7)
    while time.monotonic() < until:
        model = rng.choices(["chat-large", "chat-small", "embeddings"], [5, 4, 1])[0]
        priority = rng.choices([0, 5, 50, 255], [1, 3, 4, 3])[0]
        send(gateway, client, model, priority)
        time.sleep(rng.expovariate(4.4))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--binary", default=root / "build" / "release" / "vorrang")
    parser.add_argument("--seconds", type=int, default=150, help="how long the load runs before the pictures")
    parser.add_argument("--folder", type=pathlib.Path, default=root / "docs")
    options = parser.parse_args()
    os.environ["VORRANG_BINARY"] = str(options.binary)

    import client
    from gateway import Gateway
    from provider import Provider, Reply, error
    from test_live_page import Page

    with Provider() as provider:
        provider.script = [Reply(429, error("busy"), {"Retry-After": "60"})] * 100
        gateway = Gateway(SCENE.format(busy=provider.base))
        gateway.start()
        try:
            until = time.monotonic() + options.seconds + 60
            threading.Thread(target=ask_on, args=(gateway, client, until), daemon=True).start()
            time.sleep(options.seconds)
            Page.start()
            take(Page.driver, gateway, client, options.folder)
        finally:
            Page.end()
            gateway.kill()


def take(driver, gateway, client, folder):
    def look(scheme, width, height, scale, name):
        driver.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
        )
        size = {"width": width, "height": height or 600, "deviceScaleFactor": scale, "mobile": width < 600}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.get("about:blank")
        driver.get(f"http://127.0.0.1:{gateway.admin_port}/#model=chat-large")
        for priority in (255, 50, 255, 5, 50, 255, 50, 5, 255, 255, 0, 5, 255):
            send(gateway, client, "chat-large", priority)
        time.sleep(2.5)
        driver.execute_script("document.activeElement.blur()")
        if not height:  # all of it
            size["height"] = driver.execute_script("return document.documentElement.scrollHeight")
            driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
            time.sleep(0.3)
        path = folder / f"admin-{name}.png"
        driver.save_screenshot(str(path))
        if Image:  # a third of the size
            Image.open(path).convert("RGB").quantize(256, Image.Quantize.MAXCOVERAGE, 0, None, 0).save(path, optimize=True)

    look("light", 1280, None, 1, "light")
    look("dark", 1280, None, 1, "dark")
    look("light", 390, 844, 1.5, "phone")


if __name__ == "__main__":
    main()
