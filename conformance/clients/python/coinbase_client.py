"""coinbase-advanced-py as released, used as its README shows; only the address and the key are ours.

Its REST client always speaks https: a transport adapter of `requests` takes the s away, nothing else.
"""

import json
import os
import threading
import time
import urllib.request

import requests
from coinbase.rest import RESTClient
from coinbase.websocket import WebsocketResponse, WSClient, WSUserClient
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from steps import REST, WEBSOCKET, report, step, until

HOST = REST.removeprefix("http://")
KEY_FILE = os.environ["API_KEY_FILE"]
RESTART_URL = os.environ["RESTART_URL"]
PRODUCTS = ["BTC-USD", "ETH-USD"]
# By the name that a subscriber writes; data frames of one channel have another.
CHANNELS = ["level2", "ticker", "ticker_batch", "market_trades", "candles", "status"]
WIRE = {"level2": "l2_data"}
LISTS = {
    "l2_data": "updates",
    "ticker": "tickers",
    "ticker_batch": "tickers",
    "market_trades": "trades",
    "candles": "candles",
    "status": "products",
}


class PlainHttp(requests.adapters.HTTPAdapter):
    def send(self, request, **more):
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, **more)


def rest_client(**key):
    client = RESTClient(base_url=HOST, timeout=10, rate_limit_headers=True, **key)
    client.session.mount(f"https://{HOST}", PlainHttp())
    return client


class Feed:
    """One of the package's WebSocket clients, and what it received, as its own types."""

    def __init__(self, kind, **key):
        self.frames = []
        self.errors = []
        self.opened = 0
        self.client = kind(
            base_url=WEBSOCKET, on_message=self.take, on_open=self.count, timeout=10, **key
        )
        self.client.open()

    def count(self):
        self.opened += 1

    def take(self, message):
        # An exception in here would end the package's receiving thread without a word.
        frame = json.loads(message)
        if frame.get("type") == "error":
            self.errors.append(frame)
            return
        try:
            parsed = WebsocketResponse(json.loads(message))
            parsed.at = time.time()
            self.frames.append(parsed)
        except BaseException as error:
            self.errors.append(f"{error!r} while reading {message[:200]}")

    def since(self, at, channel):
        return [frame for frame in self.frames if frame.at > at and frame.channel == channel]

    def ack(self, at=0):
        found = self.since(at, "subscriptions")
        return found[-1].events[0].subscriptions if found else None

    def snapshots(self, channel, at=0):
        wire = WIRE.get(channel, channel)
        return [event for frame in self.since(at, wire) for event in frame.events if event.type == "snapshot"]

    def close(self):
        self.client.close()


def products_in(event, wire):
    if wire == "l2_data":
        return {event.product_id}
    return {getattr(item, "product_id", None) or getattr(item, "id", None) for item in event[LISTS[wire]]}


def wrong_secret():
    """A good key of nobody."""
    key = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL)
    return key.private_bytes(*form, serialization.NoEncryption()).decode()


def check_numbers(feed):
    """The page's words: numbers of a product increase by exactly one, from one message to the next."""
    last = {}
    for frame in feed.frames:
        if frame.channel in ("subscriptions", "heartbeats"):
            continue
        for event in frame.events:
            for product in products_in(event, frame.channel):
                stream = (frame.channel, product)
                if event.type == "update" and stream in last:
                    assert frame.sequence_num == last[stream] + 1, (
                        f"{stream}: {frame.sequence_num} after {last[stream]}"
                    )
                last[stream] = frame.sequence_num
    return len(last)


class Flow:
    def __init__(self):
        self.rest = rest_client(key_file=KEY_FILE)
        with open(KEY_FILE, encoding="utf-8") as file:
            self.key = json.load(file)

    def rest_public(self):
        public = rest_client()
        assert abs(int(public.get_unix_time().epoch_seconds or public.get_unix_time()["epochSeconds"]) - time.time()) < 5
        products = public.get_public_products(limit=3).products
        assert len(products) == 3 and products[0].product_id
        assert float(public.get_public_product("BTC-USD").price) > 0
        book = public.get_public_product_book("BTC-USD", limit=5).pricebook
        assert float(book.bids[0].price) < float(book.asks[0].price)
        assert public.get_public_market_trades("BTC-USD", limit=5).trades
        now = int(time.time())
        assert public.get_public_candles("BTC-USD", str(now - 7200), str(now), "FIVE_MINUTE").candles
        return f"{len(public.get_public_products().products)} products"

    def rest_private(self):
        permissions = self.rest.get_api_key_permissions()
        assert permissions.can_view and permissions.can_trade and not permissions.can_transfer
        # The package asks with a body on a GET, and looks for these headers in lower case.
        assert int(permissions.rate_limit_remaining) > 0, permissions
        accounts = self.rest.get_accounts(limit=3).accounts
        assert len(accounts) == 3 and accounts[0].available_balance
        assert self.rest.get_account(accounts[0].uuid).account.uuid == accounts[0].uuid
        assert self.rest.get_product("BTC-USD").product_id == "BTC-USD"
        assert len(self.rest.get_products(product_ids=PRODUCTS).products) == 2
        assert self.rest.get_product_book("BTC-USD", limit=3).pricebook.bids
        assert self.rest.get_best_bid_ask(PRODUCTS).pricebooks
        assert self.rest.get_market_trades("BTC-USD", limit=3).trades

    def limit_order(self):
        """Far below the market, so that it rests."""
        price = int(float(self.rest.get_product("BTC-USD").price) * 0.8)
        made = self.rest.limit_order_gtc_buy(
            client_order_id=f"conformance-{time.time_ns()}",
            product_id="BTC-USD",
            base_size="0.01",
            limit_price=str(price),
        )
        assert made.success, made
        return made.success_response["order_id"]

    def rest_orders(self):
        order = self.limit_order()
        assert self.rest.get_order(order).order.status == "OPEN"
        listed = self.rest.list_orders(order_status=["OPEN"], product_ids=["BTC-USD"]).orders
        assert order in [each.order_id for each in listed]
        assert self.rest.cancel_orders([order]).results[0].success
        assert self.rest.get_order(order).order.status == "CANCELLED"

    def rest_refused(self):
        wrong = rest_client(api_key=self.key["name"], api_secret=wrong_secret())
        try:
            wrong.get_accounts()
        except requests.exceptions.HTTPError as error:
            assert error.response.status_code == 401 and "Unauthorized Unauthorized" in str(error), error
            return error
        raise AssertionError("a token that another key signed was accepted")

    def ws_market(self):
        self.market = Feed(WSClient, key_file=KEY_FILE)
        self.market.client.heartbeats()
        for channel in CHANNELS:
            getattr(self.market.client, channel)(product_ids=PRODUCTS)
        self.has_snapshots(self.market, 0)
        until("heartbeat", 5, lambda: self.market.since(0, "heartbeats"))
        wanted = {"heartbeats": ["heartbeats"], **{channel: PRODUCTS for channel in CHANNELS}}
        until("ack", 5, lambda: sorted(self.market.ack() or {}) == sorted(wanted))
        for channel, products in wanted.items():
            assert sorted(self.market.ack()[channel]) == products, self.market.ack()

    def has_snapshots(self, feed, at):
        for channel in CHANNELS:
            wire = WIRE.get(channel, channel)
            until(
                f"snapshot of {channel}",
                10,
                lambda: set(PRODUCTS)
                <= {name for event in feed.snapshots(channel, at) for name in products_in(event, wire)},
            )
        for book in feed.snapshots("level2", at):
            sides = {side: [float(row.price_level) for row in book.updates if row.side == side] for side in ("bid", "offer")}
            assert max(sides["bid"]) < min(sides["offer"]), f"the book of {book.product_id} is crossed"

    def ws_market_goes_on(self):
        at = time.time()
        for channel in ("l2_data", "ticker", "market_trades"):
            until(
                f"update of {channel}",
                10,
                lambda: [event for frame in self.market.since(at, channel) for event in frame.events if event.type == "update"],
            )
        until("second heartbeat", 3, lambda: len(self.market.since(at, "heartbeats")) >= 2)
        beats = [frame.events[0].heartbeat_counter for frame in self.market.since(0, "heartbeats")]
        assert all(b == a + 1 for a, b in zip(beats, beats[1:], strict=False)), beats
        streams = check_numbers(self.market)
        assert not self.market.errors, self.market.errors[0]
        return f"{len(self.market.frames)} frames of {streams} streams, no hole"

    def ws_unsubscribe(self):
        at = time.time()
        self.market.client.ticker_unsubscribe(product_ids=["ETH-USD"])
        until("ack", 5, lambda: (self.market.ack(at) or {}).get("ticker") == ["BTC-USD"])
        self.market.client.status_unsubscribe(product_ids=PRODUCTS)
        until("ack", 5, lambda: "status" not in (self.market.ack(at) or {"status": 1}))
        at = time.time()
        self.market.client.ticker(product_ids=["ETH-USD"])
        self.market.client.status(product_ids=PRODUCTS)
        until("new snapshots", 5, lambda: self.market.snapshots("ticker", at) and self.market.snapshots("status", at))

    def ws_without_key(self):
        feed = Feed(WSClient)
        feed.client.level2(product_ids=["ETH-USD", "ETH-EUR"])
        until("snapshots", 5, lambda: len(feed.snapshots("level2")) == 2)
        feed.close()

    def ws_user(self):
        self.user = Feed(WSUserClient, key_file=KEY_FILE)
        self.user.client.heartbeats()
        self.user.client.user(product_ids=["BTC-USD"])
        self.user.client.futures_balance_summary()
        until("snapshot", 5, lambda: self.user.snapshots("user"))
        wanted = {"heartbeats", "user", "futures_balance_summary"}
        until("ack of all three", 5, lambda: set(self.user.ack() or {}) == wanted)
        until("heartbeat", 5, lambda: self.user.since(0, "heartbeats"))
        assert not self.user.errors, self.user.errors[0]

    def order_events(self, feed, at, order):
        return [
            row.status
            for frame in feed.since(at, "user")
            for event in frame.events
            for row in event.orders or []
            if row.order_id == order
        ]

    def ws_user_updates(self):
        at = time.time()
        order = self.limit_order()
        until("event of the new order", 5, lambda: "OPEN" in self.order_events(self.user, at, order))
        self.rest.cancel_orders([order])
        until("event of its end", 5, lambda: "CANCELLED" in self.order_events(self.user, at, order))
        return " ".join(self.order_events(self.user, at, order))

    def ws_refused(self):
        feed = Feed(WSUserClient, api_key=self.key["name"], api_secret=wrong_secret())
        feed.client.user(product_ids=["BTC-USD"])
        until("refusal", 5, lambda: feed.errors)
        assert feed.errors == [{"type": "error", "message": "authentication failure"}], feed.errors
        assert feed.client.websocket.open, "the socket was closed"
        feed.close()

    def restart_closes(self):
        # Only the user channel, and no products: what the package remembers of it is nothing.
        self.bare = Feed(WSUserClient, key_file=KEY_FILE)
        self.bare.client.user(product_ids=[])
        until("ack", 5, lambda: self.bare.ack())
        self.feeds = [self.market, self.user, self.bare]
        self.down = time.time()
        sockets = [feed.client.websocket for feed in self.feeds]
        urllib.request.urlopen(urllib.request.Request(RESTART_URL, method="POST"), timeout=30).close()
        codes = [socket.close_code for socket in sockets]
        # 1000 and 1001 end the package's client without a word.
        assert not {None, 1000, 1001} & set(codes), codes
        return f"close codes {codes}, up again after {time.time() - self.down:.1f} s"

    def reopened(self, feed):
        # The package waits up to 1.5, 7.5 and 37.5 s between its attempts.
        until("reconnection", 50, lambda: feed.opened >= 2)

    def restart_market(self):
        self.reopened(self.market)
        self.has_snapshots(self.market, self.down)
        at = time.time()
        until("updates", 10, lambda: self.market.since(at, "l2_data") and self.market.since(at, "ticker"))
        assert not self.market.errors, self.market.errors[0]
        return f"after {time.time() - self.down:.1f} s"

    def restart_user(self):
        self.reopened(self.user)
        until("snapshot", 10, lambda: self.user.snapshots("user", self.down))
        at = time.time()
        order = self.limit_order()
        until("event of a new order", 5, lambda: "OPEN" in self.order_events(self.user, at, order))
        self.rest.cancel_orders([order])
        assert not self.user.errors, self.user.errors[0]

    def restart_lost_by_the_sdk(self):
        """What the package does not ask for again, no server can give it."""
        for feed, channel in ((self.market, "heartbeats"), (self.user, "futures_balance_summary")):
            assert channel in feed.client.subscriptions, "the package itself believes that it is subscribed"
            assert channel not in feed.ack(self.down), f"it asked for {channel} again: adapt this step"
        self.reopened(self.bare)
        assert self.bare.ack(self.down) is None, "it asked for a user channel without products again: adapt this step"
        return "heartbeats, futures_balance_summary, user without products"

    def restart_rest(self):
        assert self.rest.get_accounts(limit=1).accounts
        for feed in self.feeds:
            feed.client.retry = False


threading.Timer(110, lambda: (report("finishes", False, "still running after 110 s"), os._exit(1))).start()
flow = Flow()
for name in (
    "rest_public",
    "rest_private",
    "rest_orders",
    "rest_refused",
    "ws_market",
    "ws_market_goes_on",
    "ws_unsubscribe",
    "ws_without_key",
    "ws_user",
    "ws_user_updates",
    "ws_refused",
    "restart_closes",
    "restart_market",
    "restart_user",
    "restart_lost_by_the_sdk",
    "restart_rest",
):
    step(name, getattr(flow, name))
# Its threads never end.
os._exit(0)
