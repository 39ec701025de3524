"""A bot with requests, websocket-client and eth-account."""

import json
import threading
import time

import requests
import websocket
from eth_account import Account
from eth_account.messages import encode_typed_data
from steps import ADDRESS, CHAIN_ID, LEEWAY, PRIVATE_KEY, REST, WEBSOCKET, step, until

PRIVATE = "accountOrderUpdate"
PUBLIC = "orderBookUpdate"
EVENT_PATIENCE = 9


class Session:
    """A login, kept in a `requests` session with its cookie jar."""

    def __init__(self):
        self.http = requests.Session()
        asked = self.http.post(f"{REST}/v1/user/login", data={"addr": ADDRESS, "chainId": CHAIN_ID}, timeout=5)
        asked.raise_for_status()
        data = asked.json()["data"]
        signed = Account.sign_message(
            encode_typed_data(full_message=json.loads(data["eip712Message"])), private_key=PRIVATE_KEY
        )
        form = {"addr": ADDRESS, "nonceHash": data["nonceHash"], "signature": "0x" + signed.signature.hex().removeprefix("0x")}
        verified = self.http.post(f"{REST}/v1/user/login/verify", data=form, timeout=5)
        verified.raise_for_status()
        data = verified.json()["data"]
        self.user_id = data["user"]["userId"]
        self.refresh_token = verified.cookies["x_auth_refresh_token"]
        self.take(data)

    def take(self, data):
        self.token = data["accessToken"]["token"]
        self.expires = data["accessToken"]["data"]["payload"]["exp"]

    def get(self, path):
        return requests.get(REST + path, headers={"Authorization": f"Bearer {self.token}"}, timeout=5)

    def refresh(self, how="data"):
        """With the refresh token of the login, always the same one; 'jar' sends what the jar holds by now."""
        url = f"{REST}/v1/user/login/refresh"
        if how == "jar":
            answer = self.http.post(url, timeout=5)
        elif how == "cookie":
            answer = requests.post(url, cookies={"x_auth_refresh_token": self.refresh_token}, timeout=5)
        else:
            answer = requests.post(url, timeout=5, **{how: {"refreshToken": self.refresh_token}})
        assert answer.status_code == 200, f"refresh answered {answer.status_code}"
        self.take(answer.json()["data"])
        assert self.get("/v1/user/info").status_code == 200, "the new token is refused"


class Socket:
    """A WebSocketApp on a thread, which remembers what it was sent."""

    def __init__(self, bearer=None):
        self.messages, self.events, self.pushes, self.expired, self.closed = [], [], 0, 0, None
        opened = threading.Event()
        self.app = websocket.WebSocketApp(
            WEBSOCKET,
            header=[f"Authorization: Bearer {bearer}"] if bearer else None,
            on_open=lambda _: opened.set(),
            on_message=lambda _, text: self.on_message(text),
            on_close=lambda _, code, __: setattr(self, "closed", code or 1006),
        )
        threading.Thread(target=self.app.run_forever, daemon=True).start()
        assert opened.wait(5), "the socket does not open"

    def on_message(self, text):
        message = {"pong": True} if text == "pong" else json.loads(text)
        if message.get("e") == PUBLIC:
            self.pushes += 1
        elif message.get("e") == PRIVATE:
            self.events.append({**message, "at": time.time()})
        else:
            self.messages.append(message)
        if "token_expired" in (message.get("cmd"), message.get("event")):
            self.expired = time.time()

    def send(self, message):
        self.app.send(message if isinstance(message, str) else json.dumps(message))

    def answer(self, what, matches, after=0):
        return until(f"answer to {what}", 5, lambda: next((m for m in self.messages[after:] if matches(m)), None))

    def login(self, token, field="data"):
        before = len(self.messages)
        self.send({"cmd": "login", field: {"accessToken": token}})
        answer = self.answer("login", lambda m: m.get("cmd") == "login", before)
        assert answer["status"] == "success", answer
        return answer["data"]

    def subscribe_private(self):
        before = len(self.messages)
        for market in ("inclusionPreconf", "wholeBlock"):
            self.send({"cmd": "subscribe", "args": {"channel": PRIVATE, "marketType": market}})

        def answers():
            found = [m for m in self.messages[before:] if m.get("cmd") in ("subscribe", "error")]
            return found if len(found) >= 2 else None

        failed = [m for m in until("answers to subscribe", 5, answers) if "error" in m]
        return failed[0]["error"]["code"] if failed else "allowed"

    def check_order(self):
        last = {}
        for event in self.events:
            key, sequence = event["key"], event["sequence"]
            assert last.get(key) in (None, sequence - 1), f"{key}: {sequence} after {last[key]}"
            last[key] = sequence

    def close(self):
        self.app.close()


def short_lived(work, bearer=None):
    socket = Socket(bearer)
    try:
        return work(socket)
    finally:
        socket.close()


class Flow:
    def login(self):
        self.session = Session()
        return f"user {self.session.user_id}"

    def private_call(self):
        assert requests.get(f"{REST}/v1/user/accounts", timeout=5).status_code == 401
        answer = self.session.get("/v1/user/accounts")
        assert answer.status_code == 200, answer.status_code
        assert any(account["type"] == 2 for account in answer.json()["data"]["accounts"])

    def public_before_login(self):
        self.socket = Socket()
        self.socket.send({"cmd": "subscribe", "args": {"channel": PUBLIC, "marketType": "inclusionPreconf"}})
        until("public push", 5, lambda: self.socket.pushes)
        verdict = self.socket.subscribe_private()
        assert verdict == 401, f"private channel without login: {verdict}"

    def ws_login_cmd_data(self):
        permissions = self.socket.login(self.session.token)["permissions"]
        assert {"market_data", "account_updates", "trading"} <= set(permissions), permissions

    def ws_login_cmd_args(self):
        short_lived(lambda one: one.login(self.session.token, "args") and None)

    def ws_login_object_token(self):
        short_lived(lambda one: one.login({"token": self.session.token}) and None)

    def ws_login_op(self):
        def work(one):
            one.send({"op": "login", "args": [{"accessToken": self.session.token}], "id": 7})
            answer = one.answer("login", lambda m: m.get("id") == 7)
            assert answer["event"] == "login" and answer["code"] == 0, answer
            one.send("ping")
            one.answer("ping", lambda m: m.get("pong"))

        short_lived(work)

    def ws_login_bearer(self):
        def work(one):
            assert one.subscribe_private() == "allowed", "not logged in by the header"

        short_lived(work, self.session.token)

    def ws_login_refused(self):
        def work(one):
            one.send({"cmd": "login", "data": {"accessToken": "nonsense"}})
            answer = one.answer("login", lambda m: m.get("cmd") == "login")
            assert answer["error"]["code"] == 401, answer

        short_lived(work)

    def ws_logout(self):
        def work(one):
            one.login(self.session.token)
            one.send({"cmd": "logout"})
            one.answer("logout", lambda m: m.get("cmd") == "logout")
            assert one.subscribe_private() != "allowed", "still logged in"

        short_lived(work)

    def private_event(self):
        assert self.socket.subscribe_private() == "allowed"
        event = until("private event", EVENT_PATIENCE, lambda: self.socket.events and self.socket.events[0])
        assert event["data"]["C"] == self.session.user_id, event
        return f"{event['s']} on {event['key']}"

    def token_expired(self):
        patience = self.session.expires - time.time() + 3
        at = until("token_expired", patience, lambda: self.socket.expired)
        assert at > self.session.expires - 1, f"{self.session.expires - at:.1f} s early"
        assert self.session.get("/v1/user/info").status_code == 200, "REST gives no leeway"
        return f"{(at - self.session.expires) * 1000:.0f} ms after exp"

    def private_stops(self):
        # Another program of the same user stays signed in, so that things go on happening to the account.
        self.companion = Socket()
        self.companion.login(Session().token)
        stop = self.session.expires + LEEWAY + 1
        time.sleep(max(0, stop - time.time()))
        pushes = self.socket.pushes
        time.sleep(3)
        late = [event for event in self.socket.events if event["at"] > stop]
        assert not late, f"{len(late)} private events after the end of the leeway"
        assert self.socket.pushes > pushes, "public pushes stopped too"
        assert self.socket.closed is None, f"closed with {self.socket.closed}"
        assert self.session.get("/v1/user/info").status_code == 401

    def relogin_in_place(self):
        before = len(self.socket.events)
        gap = (self.session.expires + LEEWAY) * 1000
        self.session = Session()
        self.socket.login(self.session.token)
        until("event after the login", EVENT_PATIENCE, lambda: len(self.socket.events) > before + 1)
        missed = [event for event in self.socket.events[before:] if gap < event["E"] < gap + 4000]
        assert missed, "what happened in between was not sent"
        self.socket.check_order()
        self.companion.close()
        return f"{len(missed)} events of the time in between, no hole"

    def refresh_extends_socket(self):
        first, expired = self.session.expires, self.socket.expired
        while time.time() < first + LEEWAY + 1.5:
            time.sleep(max(0, self.session.expires - 1.2 - time.time()))
            self.session.refresh("jar")
        until(
            "private event",
            EVENT_PATIENCE,
            lambda: any(event["at"] > first + LEEWAY + 1 for event in self.socket.events),
        )
        assert self.socket.expired == expired, "token_expired in spite of the refresh"
        self.socket.check_order()

    def logout_ends_private(self):
        self.session.refresh("jar")
        headers = {"Authorization": f"Bearer {self.session.token}"}
        answer = requests.post(f"{REST}/v1/user/logout", headers=headers, timeout=5)
        at = time.time()
        assert answer.status_code == 200 and answer.json()["success"], answer.text
        time.sleep(3)
        late = [event for event in self.socket.events if event["at"] > at + 0.25]
        assert not late, f"{len(late)} private events after logout"
        assert self.session.get("/v1/user/info").status_code == 401
        form = {"refreshToken": self.session.refresh_token}
        assert requests.post(f"{REST}/v1/user/login/refresh", data=form, timeout=5).status_code == 403
        return f"socket {'open' if self.socket.closed is None else f'closed with {self.socket.closed}'}"


flow = Flow()
step("login", flow.login)
step("private_call", flow.private_call)
for name, how in (("form", "data"), ("json", "json"), ("query", "params"), ("cookie", "cookie")):
    step(f"refresh_{name}", lambda how=how: flow.session.refresh(how))
for name in (
    "public_before_login",
    "ws_login_cmd_data",
    "ws_login_cmd_args",
    "ws_login_object_token",
    "ws_login_op",
    "ws_login_bearer",
    "ws_login_refused",
    "ws_logout",
    "private_event",
    "token_expired",
    "private_stops",
    "relogin_in_place",
    "refresh_extends_socket",
    "logout_ends_private",
):
    step(name, getattr(flow, name))
