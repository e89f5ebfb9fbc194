#!/usr/bin/env python3
"""The JSON gateway, from a client with nothing but Python's standard library: gateway.py [--auth] URL...

With --auth it turns access control on, so it wants a cluster of its own, whose tokens end after three seconds without a
call. Each check prints one line, "ok NAME" or "FAILED NAME: why"; the exit code says whether all passed. The checks hold for
a real etcd as well, which is how they are tested.
"""

import base64
import json
import sys
import threading
import time
import urllib.error
import urllib.request

LIMIT = 30  # Seconds that one call may take.
PREFIX = "python/"

# Loopback only: whatever proxy the environment names has no part in this.
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def encode(text):
    return base64.b64encode(text.encode()).decode()


def decode(text):
    return base64.b64decode(text).decode()


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status}: {body}")
        self.status, self.body = status, body


class Client:
    """One member's gateway."""

    def __init__(self, url, token=None):
        self.url = url.rstrip("/")
        self.token = token

    def login(self, name, password):
        """The same gateway, as a user."""
        token = self.call("/v3/auth/authenticate", name=name, password=password)["token"]
        return Client(self.url, token)

    def open(self, path, body):
        data = json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        if self.token:
            headers["Authorization"] = self.token
        request = urllib.request.Request(self.url + path, data=data, headers=headers)
        try:
            return OPENER.open(request, timeout=LIMIT)
        except urllib.error.HTTPError as error:
            raise Refused(error.code, json.loads(error.read())) from None

    def call(self, path, **body):
        with self.open(path, body) as answer:
            return json.load(answer)

    def get(self, path):
        with OPENER.open(self.url + path, timeout=LIMIT) as answer:
            return answer.status, answer.read().decode()


def equal(what, got, want):
    assert got == want, f"{what} is {got!r}, expected {want!r}"


def check_kv(client):
    key = encode(PREFIX + "kv")
    put = client.call("/v3/kv/put", key=key, value=encode("one"))
    revision = put["header"]["revision"]
    assert isinstance(revision, str), "64-bit numbers are strings"
    answer = client.call("/v3/kv/range", key=key)
    equal("the count", answer["count"], "1")
    pair = answer["kvs"][0]
    equal("the value", decode(pair["value"]), "one")
    equal("the revision", pair["mod_revision"], revision)
    assert "lease" not in pair, "what is zero is left out"
    # Numbers may come as numbers too.
    again = client.call("/v3/kv/range", key=key, limit=1, revision=int(revision))
    equal("the pair at its revision", again["kvs"], answer["kvs"])
    prev = client.call("/v3/kv/put", key=key, value=encode("two"), prev_kv=True)["prev_kv"]
    equal("the pair before", prev, pair)
    gone = client.call("/v3/kv/deleterange", key=key, prev_kv=True)
    equal("the deleted", (gone["deleted"], decode(gone["prev_kvs"][0]["value"])), ("1", "two"))
    assert "kvs" not in client.call("/v3/kv/range", key=key)


def check_txn(client):
    key = encode(PREFIX + "txn")
    client.call("/v3/kv/deleterange", key=key)
    guard = [{"key": key, "target": "CREATE", "result": "EQUAL", "create_revision": "0"}]
    body = {
        "compare": guard,
        "success": [{"request_put": {"key": key, "value": encode("mine")}}],
        "failure": [{"request_range": {"key": key}}],
    }
    first = client.call("/v3/kv/txn", **body)
    equal("the first", first["succeeded"], True)
    assert "response_put" in first["responses"][0]
    second = client.call("/v3/kv/txn", **body)
    assert "succeeded" not in second, "what is false is left out"
    found = second["responses"][0]["response_range"]["kvs"][0]
    equal("the holder", decode(found["value"]), "mine")


def check_lease(client):
    key = encode(PREFIX + "lease")
    granted = client.call("/v3/lease/grant", TTL="60")
    lease = granted["ID"]
    equal("the time to live", granted["TTL"], "60")
    client.call("/v3/kv/put", key=key, value=encode("v"), lease=lease)
    left = client.call("/v3/lease/timetolive", ID=lease, keys=True)
    equal("the granted time", left["grantedTTL"], "60")
    equal("the keys", left["keys"], [key])
    renewed = client.call("/v3/lease/keepalive", ID=lease)
    equal("the renewed time", renewed["result"]["TTL"], "60")
    leases = [entry["ID"] for entry in client.call("/v3/lease/leases")["leases"]]
    assert lease in leases, f"{lease} is not in {leases}"
    client.call("/v3/lease/revoke", ID=lease)
    assert "kvs" not in client.call("/v3/kv/range", key=key)


def check_watch(client):
    prefix = encode(PREFIX + "watch/")
    end = encode(PREFIX + "watch0")
    body = {"create_request": {"key": prefix, "range_end": end, "prev_kv": True}}
    with client.open("/v3/watch", body) as stream:
        created = json.loads(stream.readline())["result"]
        equal("the first answer", created["created"], True)

        def write():
            key = encode(PREFIX + "watch/k")
            client.call("/v3/kv/put", key=key, value=encode("v"))
            client.call("/v3/kv/deleterange", key=key)

        writer = threading.Thread(target=write)
        writer.start()
        events = []
        while len(events) < 2:
            events += json.loads(stream.readline())["result"].get("events", [])
        writer.join()
    equal("the put", decode(events[0]["kv"]["value"]), "v")
    assert "type" not in events[0], "PUT is zero, and left out"
    equal("the delete", events[1]["type"], "DELETE")
    equal("the pair before", decode(events[1]["prev_kv"]["value"]), "v")


def check_errors(client):
    for path, body, status, code, text in [
        ("/v3/kv/range", {}, 400, 3, "etcdserver: key is not provided"),
        ("/v3/lease/revoke", {"ID": "12345"}, 404, 5, "etcdserver: requested lease not found"),
        ("/v3/kv/range", {"key": encode("k"), "revision": "99999999999"}, 400, 11,
         "etcdserver: mvcc: required revision is a future revision"),
    ]:
        try:
            client.call(path, **body)
        except Refused as error:
            equal(path, (error.status, error.body["code"], error.body["message"]), (status, code, text))
        else:
            raise AssertionError(f"{path} {body} is not refused")


def check_health(client):
    status, body = client.get("/health")
    equal("the health", (status, json.loads(body)["health"]), (200, "true"))
    status, body = client.get("/version")
    assert status == 200 and "etcdserver" in json.loads(body)
    status, body = client.get("/metrics")
    assert status == 200 and "etcd_server_has_leader 1" in body


def check_members(client):
    members = client.call("/v3/cluster/member/list")["members"]
    assert all(isinstance(member["ID"], str) for member in members)
    status = client.call("/v3/maintenance/status")
    assert status["leader"] in [member["ID"] for member in members]


def refused(what, status, code, text, call):
    """Both None where etcd's own code is a slip and only the text counts."""
    try:
        call()
    except Refused as error:
        found = (status and error.status, code and error.body["code"], error.body["message"])
        equal(what, found, (status, code, text))
    else:
        raise AssertionError(f"{what} is not refused")


def check_auth(client):
    prefix, end = encode(PREFIX + "auth/"), encode(PREFIX + "auth0")
    inside, outside = encode(PREFIX + "auth/k"), encode("elsewhere")
    for name, password in [("root", "rootpw"), ("alice", "alicepw")]:
        client.call("/v3/auth/user/add", name=name, password=password)
    client.call("/v3/auth/role/add", name="app")
    permission = {"permType": "READWRITE", "key": prefix, "range_end": end}
    client.call("/v3/auth/role/grant", name="app", perm=permission)
    client.call("/v3/auth/user/grant", user="root", role="root")
    client.call("/v3/auth/user/grant", user="alice", role="app")
    shown = client.call("/v3/auth/role/get", role="app")["perm"]
    equal("what the role allows", shown, [permission])
    client.call("/v3/auth/enable")

    empty = (400, 3, "etcdserver: user name is empty")
    denied = (403, 7, "etcdserver: permission denied")
    invalid = (401, 16, "etcdserver: invalid auth token")
    failed = (400, 3, "etcdserver: authentication failed, invalid user ID or password")
    refused("a put by nobody", *empty, lambda: client.call("/v3/kv/put", key=inside))
    refused("a wrong password", *failed, lambda: client.login("alice", "wrong"))
    liar = Client(client.url, "nobody.1")
    refused("a token that is none", *invalid, lambda: liar.call("/v3/kv/range", key=inside))
    alice, root = client.login("alice", "alicepw"), client.login("root", "rootpw")
    alice.call("/v3/kv/put", key=inside, value=encode("1"))
    refused("a put elsewhere", *denied, lambda: alice.call("/v3/kv/put", key=outside))
    refused("a list of users", *denied, lambda: alice.call("/v3/auth/user/list"))
    refused("a lock elsewhere", None, None, denied[2], lambda: alice.call("/v3/lock/lock", name=outside))
    held = alice.call("/v3/lock/lock", name=encode(PREFIX + "auth/lock"))
    alice.call("/v3/lock/unlock", key=held["key"])
    equal("all users", sorted(root.call("/v3/auth/user/list")["users"]), ["alice", "root"])

    # A watch goes on while nobody shows a token for longer than it lives; a call has to log in again.
    with alice.open("/v3/watch", {"create_request": {"key": inside}}) as stream:
        equal("the watcher", json.loads(stream.readline())["result"]["created"], True)
        time.sleep(9)
        refused("an old token", *invalid, lambda: alice.call("/v3/kv/range", key=inside))
        root = client.login("root", "rootpw")
        root.call("/v3/kv/put", key=inside, value=encode("2"))
        event = json.loads(stream.readline())["result"]["events"][0]
        equal("the news", decode(event["kv"]["value"]), "2")
    alice = client.login("alice", "alicepw")
    equal("the value", decode(alice.call("/v3/kv/range", key=inside)["kvs"][0]["value"]), "2")
    with alice.open("/v3/watch", {"create_request": {"key": outside}}) as stream:
        answer = json.loads(stream.readline())["result"]
        assert answer["canceled"] and "permission denied" in answer["cancel_reason"], answer
    root.call("/v3/auth/disable")
    client.call("/v3/kv/put", key=outside, value=encode("anybody again"))


CHECKS = [check_kv, check_txn, check_lease, check_watch, check_errors, check_health, check_members]


def main():
    failed = False
    urls = sys.argv[1:]
    checks = CHECKS
    if urls[:1] == ["--auth"]:
        urls, checks = urls[1:], [check_auth]
    for index, check in enumerate(checks):
        name = check.__name__.removeprefix("check_")
        try:
            check(Client(urls[index % len(urls)]))
            print(f"ok {name}")
        except Exception as error:  # Whatever it is, the other checks go on.
            print(f"FAILED {name}: {type(error).__name__}: {error}")
            failed = True
    sys.exit(failed)


if __name__ == "__main__":
    main()
