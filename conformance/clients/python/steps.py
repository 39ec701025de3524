"""Prints one JSON line per step, for whoever runs the client."""

import json
import os
import sys
import time
import traceback

REST = os.environ["GATEWAY_REST"]
WEBSOCKET = os.environ["GATEWAY_WEBSOCKET"]
ADDRESS = os.environ["WALLET_ADDRESS"]
PRIVATE_KEY = os.environ["WALLET_KEY"]
CHAIN_ID = int(os.environ["CHAIN_ID"])
ACCESS_TTL = float(os.environ["ACCESS_TTL"])
LEEWAY = float(os.environ["LEEWAY"])
SEEDS = os.environ["SEEDS"]

# Programs that print are given another place to print to; this one stays for the steps.
OUT = sys.stdout


def report(name, ok, detail=""):
    line = {"step": name, "ok": ok, "detail": str("" if detail is None else detail)[:400]}
    OUT.write(json.dumps(line) + "\n")
    OUT.flush()


def step(name, work):
    """Runs one step. What it returns is the detail; what it raises is why it failed."""
    try:
        report(name, True, work())
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        report(name, False, f"{type(error).__name__}: {error} ({os.path.basename(where.filename)}:{where.lineno})")


def until(what, seconds, look):
    """Polls until `look` gives something."""
    end = time.time() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.time() > end:
            raise AssertionError(f"no {what} within {seconds:.1f} s")
        time.sleep(0.01)
