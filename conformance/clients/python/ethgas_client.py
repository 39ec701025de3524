"""python-ethgas as released, used as its README shows; only the URLs and keys are ours."""

import json
import logging
import os
import threading
import time

import requests
from ethgas.rest.api_client import APIClient
from ethgas.websocket.ws_client import WsClient
from ethgas.websocket.ws_constants import Channel, MarketType
from steps import ACCESS_TTL, ADDRESS, CHAIN_ID, PRIVATE_KEY, REST, WEBSOCKET, report, step, until

PRIVATE = "accountOrderUpdate"


class Lines(logging.Handler):
    """Keeps what the package logs: it tells no other way what it does in its threads."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def emit(self, record):
        self.lines.append(record.getMessage())

    def count(self, text):
        return sum(text in line for line in self.lines)


class Recorder(WsClient):
    """Handlers are overridden by inheritance, as the package intends."""

    frames = []

    def on_message(self, ws, message):
        if message not in ("ping", "pong"):
            self.frames.append({**json.loads(message), "at": time.time()})
        super().on_message(ws, message)

    def subscribe_private(self, market_type):
        # The package has no method for private channels, only what its public ones are made of.
        message = self.create_subscription_message(channel=PRIVATE, market_type=market_type, is_subscribe=True)
        self._WsClient__send_message(message)

    def events(self):
        return [frame for frame in self.frames if frame.get("e") == PRIVATE]


log = Lines()
logger = logging.getLogger("ethgas")
logger.setLevel(logging.INFO)
logger.addHandler(log)
logger.propagate = False
# Its calls never return when the server is silent.
threading.Timer(80, lambda: (report("finishes", False, "still running after 80 s"), os._exit(1))).start()


class Flow:
    def login(self):
        self.born = time.time()
        # The refresh timer fires at the very second in which the token expires.
        self.api = APIClient(
            rest_url=REST,
            chain_id=str(CHAIN_ID),
            account_address=ADDRESS,
            private_key=PRIVATE_KEY,
            refresh_interval=ACCESS_TTL,
            logger=logger,
        )
        assert self.api.is_logged_in()
        self.first_token = self.api.get_access_token()
        assert self.api.get_default_trading_account(), "no trading account"

    def private_call(self):
        user = self.api.get_user_info()["user"]
        self.user_id = user["userId"]
        assert any(account["type"] == 2 for account in user["accounts"])
        return f"user {self.user_id}"

    def markets(self):
        inclusion = self.api.get_all_ip_markets()["data"]["markets"]
        whole = self.api.get_all_wb_markets()["data"]["markets"]
        assert inclusion and whole
        return f"{len(inclusion)} and {len(whole)} markets"

    def ws_login_op(self):
        self.ws = Recorder(ws_url=WEBSOCKET, auto_reconnect_retries=5, api_client=self.api, logger=logger)
        until("login event", 5, lambda: any(frame.get("event") == "login" for frame in self.ws.frames))

    def public_push(self):
        self.ws.subscribe_market_update(market_type=MarketType.INCLUSION_PRECONF)
        self.ws.subscribe_orderbook(market_type=MarketType.INCLUSION_PRECONF)
        wanted = {Channel.Public.PRECONF_MARKET_UPDATE, Channel.Public.ORDERBOOK_UPDATE}
        until("push of both channels", 8, lambda: wanted <= {frame.get("e") for frame in self.ws.frames})

    def private_event(self):
        for market in MarketType:
            self.ws.subscribe_private(market)
        event = until("private event", 9, lambda: next(iter(self.ws.events()), None))
        assert event["P"]["C"] == self.user_id
        return f"{event['s']} on {event['key']}"

    def stays_through_expiry(self):
        """Three token lives, with a private call four times a second all the while."""
        calls = 0
        while time.time() < self.born + 3 * ACCESS_TTL + 2:
            assert self.api.get_user_info().get("user"), "a private call had no answer"
            calls += 1
            time.sleep(0.25)
        assert log.count("refreshed JWT token") >= 3, f"{log.count('refreshed JWT token')} refreshes"
        assert log.count("re-logging in") == 0, "a private call was refused"
        assert self.api.get_access_token() != self.first_token
        assert self.ws.is_connected(), "the socket is gone"
        return f"{calls} calls, {log.count('refreshed JWT token')} refreshes, no 401"

    def private_goes_on(self):
        """On the socket, which never logs in again: the refreshes over REST keep it alive."""
        now = time.time()
        until("private event", 9, lambda: any(event["at"] > now for event in self.ws.events()))
        last = {}
        for event in self.ws.events():
            assert last.get(event["key"]) in (None, event["sequence"] - 1), f"hole before {event['sequence']}"
            last[event["key"]] = event["sequence"]
        assert log.count("reconnecting") == 0

    def relogin_after_logout(self):
        """The session ends behind the client's back: refused, it signs in again by itself."""
        headers = {"Authorization": f"Bearer {self.api.get_access_token()}"}
        requests.post(f"{REST}/v1/user/logout", headers=headers, timeout=5).raise_for_status()
        ended = time.time()
        until("normal close", 4, lambda: log.count("normally closed by EthGas"))
        assert self.api.get_user_info() == {}, "the first call after the end should be the one that is lost"
        assert self.api.get_user_info()["user"]["userId"] == self.user_id
        late = [event for event in self.ws.events() if event["at"] > ended + 0.25]
        assert not late, f"{len(late)} private events after logout"
        assert log.count("reconnecting") == 0, "it tried to reconnect, which this package cannot"


flow = Flow()
for name in (
    "login",
    "private_call",
    "markets",
    "ws_login_op",
    "public_push",
    "private_event",
    "stays_through_expiry",
    "private_goes_on",
    "relogin_after_logout",
):
    step(name, getattr(flow, name))
# Its timers are threads that never end.
os._exit(0)
