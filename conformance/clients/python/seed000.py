"""The Python class of the WebSocket authentication page, unmodified, with websocket-client.

The page calls `get_new_token` and does not show it: it is supplied, as the page's readers have to.
"""

import ast
import json
import os
import threading
import time

import requests
from eth_account import Account
from eth_account.messages import encode_typed_data
from seed_program import between, read_seed, substitute
from steps import ADDRESS, CHAIN_ID, PRIVATE_KEY, REST, WEBSOCKET, step, until

PRIVATE = "accountOrderUpdate"


class Flow:
    received = []
    refreshed = []

    def printed(self, text):
        """What the program prints is all that it lets its user see."""
        if text.startswith("Received: "):
            self.received.append({**ast.literal_eval(text.removeprefix("Received: ")), "at": time.time()})

    def of(self, cmd):
        return [message for message in self.received if message.get("cmd") == cmd]

    def login(self):
        asked = requests.post(f"{REST}/v1/user/login", data={"addr": ADDRESS, "chainId": CHAIN_ID}, timeout=5)
        data = asked.json()["data"]
        message = encode_typed_data(full_message=json.loads(data["eip712Message"]))
        signature = Account.sign_message(message, private_key=PRIVATE_KEY).signature.hex()
        form = {"addr": ADDRESS, "nonceHash": data["nonceHash"], "signature": signature}
        verified = requests.post(f"{REST}/v1/user/login/verify", data=form, timeout=5)
        self.refresh_token = verified.cookies["x_auth_refresh_token"]
        self.token = verified.json()["data"]["accessToken"]["token"]
        self.user_id = verified.json()["data"]["user"]["userId"]

    def get_new_token(self, _client):
        form = {"refreshToken": self.refresh_token}
        answer = requests.post(f"{REST}/v1/user/login/refresh", data=form, timeout=5)
        self.token = answer.json()["data"]["accessToken"]["token"]
        self.refreshed.append(self.token)
        return self.token

    def ws_login_cmd_data(self):
        page = read_seed("000")
        program = between(page[page.index("```python") :], "import websocket", "```")
        program = substitute(
            program, {"wss://ws.ethgas.com": WEBSOCKET.removesuffix("/ws"), "your_access_token": self.token}
        )
        # The last line blocks for ever, and the missing method has to be there before it.
        definition, usage = program.split("# Usage")
        names = {"print": self.printed}
        exec(compile(definition, "seed000", "exec"), names)
        names["ETHGasWebSocket"].get_new_token = lambda client: self.get_new_token(client)
        threading.Thread(target=exec, args=(compile(usage, "seed000", "exec"), names), daemon=True).start()
        answer = until("login answer", 5, lambda: self.of("login"))[0]
        assert answer["status"] == "success", answer
        self.client = names["client"]

    def private_event(self):
        for market in ("inclusionPreconf", "wholeBlock"):
            arg = {"channel": PRIVATE, "marketType": market}
            self.client.ws.send(json.dumps({"cmd": "subscribe", "args": arg}))
        event = until("private event", 9, lambda: self.of(PRIVATE))[0]
        assert event["data"]["C"] == self.user_id, event

    def relogin_in_place(self, times):
        until("token_expired", 9, lambda: len(self.of("token_expired")) >= times)
        answer = until("login answer", 5, lambda: self.of("login")[times:])[0]
        assert answer["status"] == "success", answer
        assert len(self.refreshed) == times, f"{len(self.refreshed)} refreshes"
        return "refreshed with the same refresh token"

    def no_hole(self):
        count = len(self.of(PRIVATE))
        until("private event", 9, lambda: len(self.of(PRIVATE)) > count)
        last = {}
        for event in self.of(PRIVATE):
            assert last.get(event["key"]) in (None, event["sequence"] - 1), f"hole before {event['sequence']}"
            last[event["key"]] = event["sequence"]
        return f"{len(self.of(PRIVATE))} events over {len(self.of('token_expired'))} expiries"

    def logout_ends_private(self):
        headers = {"Authorization": f"Bearer {self.token}"}
        requests.post(f"{REST}/v1/user/logout", headers=headers, timeout=5).raise_for_status()
        ended = time.time()
        time.sleep(2.5)
        late = [event for event in self.of(PRIVATE) if event["at"] > ended + 0.25]
        assert not late, f"{len(late)} private events after logout"


flow = Flow()
step("login", flow.login)
step("ws_login_cmd_data", flow.ws_login_cmd_data)
step("private_event", flow.private_event)
for times in (1, 2, 3):
    step(f"relogin_in_place_{times}", lambda times=times: flow.relogin_in_place(times))
step("no_hole", flow.no_hole)
step("logout_ends_private", flow.logout_ends_private)
os._exit(0)
