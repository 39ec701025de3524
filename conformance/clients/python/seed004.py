"""The Python of the Socket.IO authentication page, unmodified, with python-socketio."""

import json
import os
import re
import time
import urllib.request

import socketio
from seed_program import read_seed
from steps import step, until

PROGRAM = re.search(r"```python\n(.*?)```", read_seed("004"), re.DOTALL).group(1)
INTERNAL = os.environ["GATEWAY_INTERNAL"]
with open(os.environ["ADMIN_TOKEN_FILE"], encoding="utf-8") as file:
    ADMIN = file.read().strip()

QUOTE = {
    "chain": "sol",
    "token": "So11111111111111111111111111111111111111112",
    "swapMode": "ExactIn",
    "amountIn": "1000000000",
    "wallet": "So11111111111111111111111111111111111111112",
}


def run(token):
    """Runs the page's program and returns its client."""
    names = {"CHAINWORKS_API_URL": os.environ["GATEWAY_SOCKETIO"], "CHAINWORKS_API_AUTH_TOKEN": token}
    exec(compile(PROGRAM, "seed004", "exec"), names)
    return names["sio"]


def admin(method, path, body=None):
    request = urllib.request.Request(
        f"{INTERNAL}/admin/v1/handshake-tokens{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"authorization": f"Bearer {ADMIN}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)["data"]


def provision():
    wish = {"user": {"displayName": "seed 004"}, "name": "seed 004", "permissions": ["market_data", "trading"]}
    return admin("POST", "", wish)


class Flow:
    def connect(self):
        self.sio = run(provision()["secret"])
        assert self.sio.connected

    def request_event(self):
        replies = []
        self.sio.on("/svm/buy/quote", replies.append)
        self.sio.emit("/svm/buy/quote", QUOTE)
        until("reply", 5, lambda: replies)
        assert replies[0]["success"], replies

    def request_ack(self):
        reply = self.sio.call("/svm/buy/quote", {}, timeout=5)
        assert reply["error"]["code"] == "MISSING_PARAMETER", reply
        self.sio.disconnect()

    def wrong_token(self):
        try:
            run("your-secret-token")
        except socketio.exceptions.ConnectionError as error:
            return error
        raise AssertionError("it was let in")

    def rotate(self):
        made = provision()
        old = run(made["secret"])
        after = admin("POST", f"/{made['handshakeToken']['tokenId']}/rotate", {"overlapSeconds": 1})
        successor = run(after["secret"])
        assert old.connected and successor.connected
        until("end of the overlap", 5, lambda: not old.connected)
        assert successor.connected
        successor.disconnect()

    def revoke(self):
        made = provision()
        sio = run(made["secret"])
        notices = []
        sio.on("unauthorized", notices.append)
        admin("DELETE", f"/{made['handshakeToken']['tokenId']}")
        until("end", 5, lambda: not sio.connected)
        assert notices[0]["code"] == "UNAUTHORIZED", notices

    def restart(self):
        sio = run(provision()["secret"])
        connects = []
        sio.on("connect", lambda: connects.append(time.time()))
        down = time.time()
        urllib.request.urlopen(urllib.request.Request(os.environ["RESTART_URL"], method="POST"), timeout=30).close()
        until("reconnection", 30, lambda: connects and sio.connected)
        assert sio.call("/svm/buy/quote", QUOTE, timeout=5)["success"]
        sio.disconnect()
        return f"{connects[0] - down:.1f} s after the restart began"


flow = Flow()
for name in ("connect", "request_event", "request_ack", "wrong_token", "rotate", "revoke", "restart"):
    step(name, getattr(flow, name))
# A client that was told to stay away leaves its threads behind.
os._exit(0)
