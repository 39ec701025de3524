"""The two Python samples of the API-key page: with the SDK's generator, and with PyJWT.

Each is run as its readers would run it, with only the name and the secret of a key filled in; the token of the
command that it prints is used in a subscribe.
"""

import base64
import json
import os
import re

import requests
import websocket
from seed_program import read_seed, substitute
from steps import REST, WEBSOCKET, step

SAMPLES = re.findall(r"```python\n(.*?)```", read_seed("003"), re.DOTALL)
NAME = "organizations/{org_id}/apiKeys/{key_id}"
SECRET = r"-----BEGIN EC PRIVATE KEY-----\nYOUR PRIVATE KEY\n-----END EC PRIVATE KEY-----\n"

with open(os.environ["API_KEY_FILE"], encoding="utf-8") as file:
    KEY = json.load(file)


def output_of(program):
    """What the program prints when it is run as a script."""
    printed = []
    names = {"__name__": "__main__", "print": lambda *words: printed.append(" ".join(map(str, words)))}
    exec(compile(program, "seed003", "exec"), names)
    return "\n".join(printed)


class Flow:
    def token(self, sample):
        program = substitute(sample, {NAME: KEY["name"], SECRET: KEY["privateKey"].replace("\n", r"\n")})
        command = output_of(program)
        assert command.startswith("export JWT="), command[:200]
        self.jwt = command.removeprefix("export JWT=")
        header = self.jwt.split(".")[0]
        return base64.urlsafe_b64decode(header + "==").decode().replace(KEY["name"], "...")

    def ask(self, socket, kind, channel, jwt, products=()):
        """@returns the answer and what came before it"""
        socket.send(json.dumps({"type": kind, "channel": channel, "product_ids": list(products), "jwt": jwt}))
        frames = []
        while True:
            frame = json.loads(socket.recv())
            if frame.get("type") == "error" or frame["channel"] == "subscriptions":
                return frame, frames
            frames.append(frame)

    def private_channel(self):
        self.socket = websocket.create_connection(WEBSOCKET, timeout=5)
        ack, before = self.ask(self.socket, "subscribe", "user", self.jwt)
        assert len(ack["events"][0]["subscriptions"]["user"]) == 1, ack
        assert [frame for frame in before if frame["channel"] == "user"], "no snapshot"

    def same_token_again(self):
        ack, _ = self.ask(self.socket, "subscribe", "level2", self.jwt, ["ETH-USD", "ETH-EUR"])
        assert len(ack["events"][0]["subscriptions"]["level2"]) == 2, ack
        ack, _ = self.ask(self.socket, "unsubscribe", "level2", self.jwt, ["ETH-USD", "ETH-EUR"])
        assert "level2" not in ack["events"][0]["subscriptions"], ack

    def not_for_rest(self):
        headers = {"Authorization": f"Bearer {self.jwt}"}
        answer = requests.get(f"{REST}/api/v3/brokerage/accounts", headers=headers, timeout=5)
        assert answer.status_code == 401, answer.status_code

    def changed_token_refused(self):
        head, _, signature = self.jwt.rpartition(".")
        changed = ("B" if signature[0] == "A" else "A") + signature[1:]
        answer, _ = self.ask(self.socket, "subscribe", "user", f"{head}.{changed}")
        assert answer == {"type": "error", "message": "authentication failure"}, answer
        self.socket.close()


flow = Flow()
# The page's SDK sample comes first, the one with PyJWT second.
for suffix, sample in (("_sdk", SAMPLES[0]), ("_pyjwt", SAMPLES[1])):
    step(f"token{suffix}", lambda sample=sample: flow.token(sample))
    for name in ("private_channel", "same_token_again", "not_for_rest", "changed_token_refused"):
        step(name + suffix, getattr(flow, name))
