#!/usr/bin/env python3
"""postern-deliver against next hops on loopback, with fake_edge in the place of the supervisor and the spooler.

usage: deliver_test.py BUILD_DIR [NAME...]     (no root, standard library only; one part needs postfix's smtp-sink and is left out without it)
"""

import collections
import contextlib
import email
import json
import os
import pwd
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from smtp_peer import Peer

BUILD = os.path.abspath(sys.argv[1])

CONFIG = """\
dataplane: {{workers: [1]}}
control: {{socket: {dir}/control.sock, user: {user}}}
ports:
  - device: net_null0
    addresses: [10.12.170.5/24]
    gateway: [10.12.170.1]
own_networks: [10.12.0.0/16]
spool: {dir}/spool
routes:
{routes}
delivery: {{concurrency: {concurrency}, retry_first: {retry}s, retry_max: {retry}s, expire: {expire}s, connect_timeout: 2s{extra}}}
virtual_servers:
  - name: default
    listen: [10.12.170.5]
    fqdn: mail.neulan.net
    local_domains: [neulan.net]
"""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


class World:
    """One spool, one fake edge, one postern-deliver."""

    open = []  # those that a failed test did not end

    def __init__(self, routes, concurrency=10, retry=1, expire=3600, segment=4 << 20, extra=""):
        World.open.append(self)
        self.dir = tempfile.mkdtemp(prefix="deliver-test-")
        self.log_path = self.dir + "/log"
        self.settings = dict(concurrency=concurrency, retry=retry, expire=expire, extra=extra)
        self.config(routes)
        self.log = open(self.log_path, "wb")
        os.mkdir(self.dir + "/spool")
        self.edge = subprocess.Popen(
            [BUILD + "/tests/e2e/fake_edge", BUILD + "/postern-deliver", self.dir + "/postern.yaml",
             self.dir + "/spool", str(segment)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log)
        self.bodies = 0

    def config(self, routes, **settings):
        self.settings.update(settings)
        lines = "\n".join('  - {domains: ["%s"], to: [%s]}' % (
            domain, ", ".join('"%s"' % (p if isinstance(p, str) else "127.0.0.1:%d" % p) for p in ports)) for domain, ports in routes)
        with open(self.dir + "/postern.yaml", "w") as f:
            f.write(CONFIG.format(dir=self.dir, user=pwd.getpwuid(os.getuid()).pw_name, routes=lines, **self.settings))

    def say(self, line):
        self.edge.stdin.write(line.encode() + b"\n")
        self.edge.stdin.flush()
        answer = self.edge.stdout.readline().decode().strip()
        assert answer, "fake_edge is gone: " + self.logged()[-2000:]
        return answer

    def start(self):
        assert self.say("start").startswith("started"), self.logged()

    def put(self, body, sender, *rcpts):
        path = self.dir + "/body"
        with open(path, "wb") as f:
            f.write(body)
        answer = self.say("put %s %s %s" % (path, sender or "-", " ".join(rcpts)))
        assert answer.startswith("put ") and answer != "put failed", answer
        return answer.split()[1]

    def fill(self, body, count):
        path = self.dir + "/body"
        with open(path, "wb") as f:
            f.write(body)
        assert self.say("fill %s %d" % (path, count)) == "fill"

    def ask(self, verb, **args):
        answer = json.loads(self.say("ask " + json.dumps({"verb": verb, "args": args})))
        return answer

    def count(self):
        return self.ask("count")["data"]

    def logged(self):
        with open(self.log_path, errors="replace") as f:
            return f.read()

    def wait(self, what, seconds=20):
        end = time.time() + seconds
        while time.time() < end:
            if what():
                return
            time.sleep(0.02)
        raise AssertionError("waited in vain; log:\n" + self.logged()[-3000:])

    def wait_empty(self, seconds=20):
        self.wait(lambda: self.count()["messages"] == 0, seconds)

    def end(self):
        World.open.remove(self)
        with contextlib.suppress(BrokenPipeError):
            self.edge.stdin.close()
        self.edge.wait()
        self.log.close()
        shutil.rmtree(self.dir)


def conserved(count):
    return count["received"] + count["created"] == (
        count["delivered"] + count["bounced"] + count["removed"] + count["recipients"])


def body_of(rng, octets):
    """Lines of every kind a stored body can have: dots, empty, 8-bit, NUL-free."""
    out = [b"Subject: test\r\n\r\n"]
    n = len(out[0])
    while n < octets:
        kind = rng.randrange(6)
        line = {0: b".", 1: b"..", 2: b"", 3: b".x" * rng.randrange(1, 50),
                4: bytes(rng.randrange(0xa0, 0xff) for _ in range(rng.randrange(1, 200))),
                5: b"abc defg " * rng.randrange(1, 100)}[kind] + b"\r\n"
        out.append(line)
        n += len(line)
    return b"".join(out)


def test_every_octet_arrives():
    peer = Peer()
    w = World([("*", [peer.port])])
    w.start()
    rng = random.Random(1)
    want = {}
    for i in range(120):
        body = body_of(rng, [10, 1000, 40000, 300000][i % 4])
        want[b"r%d@example.net" % i] = body
        w.put(body, "s@example.org", "r%d@example.net" % i)
    huge = body_of(rng, 5 << 20)
    want[b"huge@example.net"] = huge
    w.put(huge, "s@example.org", "huge@example.net")
    w.wait_empty(60)
    got = {m[1][0]: m[2] for m in peer.mails}
    assert got == want and len(peer.mails) == len(want)
    assert any(b"BODY=8BITMIME" in c for c in peer.commands)
    assert peer.connections <= 10, peer.connections
    assert w.say("stop") == "ended 0"
    w.end()


def test_old_server_without_ehlo():
    peer = Peer()
    peer.ehlo = False
    w = World([("*", [peer.port])])
    w.start()
    w.put(b"\xe4\r\n", "s@example.org", "a@example.net", "b@example.net")
    w.wait_empty()
    assert peer.mails == [(b"s@example.org", [b"a@example.net", b"b@example.net"], b"\xe4\r\n")]
    w.end()


def test_source_and_helo():
    peer = Peer()
    w = World([("*", [peer.port])], extra=", source: 127.0.0.2, helo: out.neulan.net")
    w.start()
    w.put(b"x\r\n", "s@example.org", "a@example.net")
    w.wait_empty()
    assert peer.sources == {"127.0.0.2"}, peer.sources
    assert peer.commands[0] == b"EHLO out.neulan.net\r\n"
    w.end()


def test_recipients_are_told_apart():
    far, home = Peer(), Peer()
    tries = collections.Counter()

    def rcpt(address):
        tries[address] += 1
        if address.startswith(b"never"):
            return b"550-5.1.1 no such\r\n550 5.1.1 user\r\n"
        if address.startswith(b"later") and tries[address] < 3:
            return b"450 4.2.0 try again\r\n"
        return b"250 ok\r\n"
    far.rcpt = rcpt
    w = World([("*", [far.port]), ("example.org", [home.port])])
    w.start()
    w.put(b"Subject: x\r\n\r\nhi\r\n", "s@example.org",
          "ok@example.net", "never@example.net", "later@example.net", "here@example.org")
    w.wait_empty()
    assert sorted(m[1][0] for m in far.mails) == [b"later@example.net", b"ok@example.net"]
    assert tries[b"ok@example.net"] == 1
    assert len(home.mails) == 2
    dsn = [m for m in home.mails if m[0] == b""][0]
    assert dsn[1] == [b"s@example.org"]
    report = email.message_from_bytes(dsn[2])
    assert report.get_content_type() == "multipart/report"
    parts = report.get_payload()
    assert [p.get_content_type() for p in parts] == [
        "text/plain", "message/delivery-status", "text/rfc822-headers"]
    status = parts[1].get_payload()
    assert status[1]["Final-Recipient"] == "rfc822; never@example.net"
    assert status[1]["Status"] == "5.1.1" and status[1]["Action"] == "failed"
    count = w.count()
    assert count["delivered"] == 4 and count["bounced"] == 1 and conserved(count), count
    w.end()


def test_null_sender_is_never_answered():
    peer = Peer()
    peer.rcpt = lambda address: b"550 5.1.1 no\r\n"
    w = World([("*", [peer.port])])
    w.start()
    w.put(b"x\r\n", "", "a@example.net")
    w.put(b"x\r\n", "s@example.org", "b@example.net")
    # The second one's DSN is refused as well: two removed, one bounced, nothing left.
    w.wait(lambda: w.count()["removed"] == 2)
    w.wait_empty()
    count = w.count()
    assert count["bounced"] == 1 and count["messages"] == 0 and conserved(count), count
    assert peer.mails == []
    w.end()


def test_hops_are_tried_in_order():
    alive, busy = Peer(), Peer()
    busy.greeting = b"554 no\r\n"
    w = World([("*", [free_port(), busy.port, alive.port])])
    w.start()
    w.put(b"x\r\n", "s@example.org", "a@example.net")
    w.wait_empty()
    assert len(alive.mails) == 1 and busy.connections == 1
    w.end()


def test_hop_that_is_down_gets_its_mail_later():
    port = free_port()
    w = World([("*", [port])])
    w.start()
    for i in range(50):
        w.put(b"x\r\n", "s@example.org", "r%d@example.net" % i)
    w.wait(lambda: w.logged().count("status=deferred") >= 50)
    peer = Peer(port)
    assert w.ask("retry", id="all")["data"]["recipients"] == 50
    w.wait_empty()
    assert len(peer.mails) == 50
    w.end()


def test_expired_mail_is_bounced():
    home = Peer()
    w = World([("*", [free_port()]), ("example.org", [home.port])], expire=2)
    w.start()
    w.put(b"x\r\n", "s@example.org", "a@example.net")
    w.wait_empty()
    assert b"Status: 4.4.7" in home.mails[0][2]
    w.end()


def test_hostile_servers_deliver_nothing():
    scripts = [b"", b"\0" * 100, b"HTTP/1.1 200 OK\r\n\r\n", b"220 hi\r\n250 early\r\n250 a\r\n354 b\r\n250 c\r\n",
               b"220-" + b"x" * 5000 + b"\r\n", b"220-more\r\n" * 1000, b"220 hi\r\n" + b"250-x\r\n" * 500]
    peer = Peer()
    w = World([("*", [peer.port])])
    w.start()
    for script in scripts:
        peer.script = script
        before = peer.connections
        w.put(b"x\r\n", "s@example.org", "a@example.net")
        w.ask("retry", id="all")
        w.wait(lambda: peer.connections > before)
    time.sleep(0.5)
    count = w.count()
    assert count["recipients"] == len(scripts) and conserved(count), count
    peer.script = None
    w.ask("retry", id="all")
    w.wait_empty()
    assert len(peer.mails) == len(scripts)
    w.end()


def test_connection_lost_after_the_dot_sends_again():
    peer = Peer()
    answers = [None, b"450 4.3.0 later\r\n", b"250 ok\r\n"]
    peer.final = lambda sender: answers.pop(0)
    w = World([("*", [peer.port])])
    w.start()
    w.put(b"x\r\n", "s@example.org", "a@example.net")
    w.wait_empty()
    assert len(peer.mails) == 1 and answers == []
    w.end()


def test_operator_holds_lists_and_deletes():
    peer = Peer()
    w = World([("*", [peer.port])])
    w.start()
    assert w.ask("set", name="delivery.concurrency", value=0)["ok"]
    ids = [w.put(b"x\r\n", "s@example.org", "r%d@example.net" % i, "x@example.com") for i in range(4)]
    w.wait(lambda: w.count()["messages"] == 4)
    assert w.ask("hold", id=ids[0])["data"]["messages"] == 1
    assert w.ask("delete", recipient="r1@example.net")["data"] == {"messages": 1, "recipients": 1}
    assert w.ask("delete", id=ids[2])["data"] == {"messages": 1, "recipients": 2}
    assert w.ask("delete")["exit"] == 2
    assert w.ask("bounce", id=ids[3], recipient="@example.com")["data"]["recipients"] == 1
    w.wait(lambda: w.count()["bounced"] == 1)
    listing = w.ask("list")["data"]
    assert listing["total"] == 4, listing
    first = w.ask("show", id=ids[0])["data"]["messages"][0]
    assert first["sender"] == "s@example.org" and first["vserver"] == "default"
    assert [r["state"] for r in first["recipients"]] == ["held", "held"], first
    assert w.ask("list", limit=1, sender="s@example.org")["data"]["total"] == 3
    w.ask("set", name="delivery.concurrency", value=5)
    w.wait(lambda: w.count()["messages"] == 1)
    got = sorted(r for m in peer.mails for r in m[1])
    assert got == [b"r3@example.net", b"s@example.org", b"x@example.com"], got
    assert w.ask("release", id=ids[0])["ok"]
    w.wait_empty()
    count = w.count()
    assert count["removed"] == 3 and count["bounced"] == 1 and conserved(count), count
    assert w.ask("nonsense")["exit"] == 2
    assert json.loads(w.say("ask {not json"))["exit"] == 2
    w.end()


def test_segments_are_given_back():
    peer = Peer()
    w = World([("*", [peer.port])], segment=1 << 20)
    w.start()
    body = body_of(random.Random(2), 60000)
    for i in range(100):
        w.put(body, "s@example.org", "r%d@example.net" % i)
    w.wait_empty()
    w.wait(lambda: int(w.say("segments").split()[1]) >= 4)
    left = len(os.listdir(w.dir + "/spool/segments"))
    assert left <= 3, left
    assert len(peer.mails) == 100
    # Nothing of it comes back.
    assert w.say("stop") == "ended 0"
    w.start()
    time.sleep(0.5)
    assert w.count()["messages"] == 0 and len(peer.mails) == 100
    w.end()


def test_killed_at_any_time_nothing_is_lost():
    peer = Peer()
    home = Peer()
    peer.rcpt = lambda a: b"550 5.1.1 no\r\n" if a.startswith(b"never") else b"250 ok\r\n"
    w = World([("*", [peer.port]), ("example.org", [home.port])], concurrency=20, segment=1 << 20)
    rng = random.Random(3)
    want, never = set(), 0
    for turn in range(10):
        # Killed while mail comes in, and while it works off what was there before.
        if turn % 2 == 0:
            w.start()
        for i in range(150):
            name = "r%d@example.net" % len(want)
            if i % 30 == 0:
                w.put(b"x\r\n", "s@example.org", "never%d@example.net" % never)
                never += 1
            want.add(name.encode())
            w.put(b"To: %s\r\n\r\nx\r\n" % name.encode(), "s@example.org", name)
            if turn % 2 == 0 and rng.randrange(80) == 0:
                w.say("channel")
        if turn % 2 == 1:
            w.start()
        time.sleep(rng.random() * 0.05)
        assert w.say("kill") == "ended 137"
    w.start()
    w.wait_empty(60)
    got = collections.Counter(m[1][0] for m in peer.mails)
    assert set(got) == want, want - set(got)
    twice = sum(n - 1 for n in got.values())
    assert twice <= 10 * 20 * 2, twice
    bounced = {l for m in home.mails for l in m[2].split(b"\r\n") if l.startswith(b"Final-Recipient")}
    assert len(bounced) == never, (len(bounced), never)
    print("    %d mails, %d again after a kill" % (len(want), twice))
    w.end()


def test_new_configuration_moves_what_waits():
    peer = Peer()
    w = World([("*", [free_port()])], retry=2)
    w.start()
    w.put(b"x\r\n", "s@example.org", "a@example.net")
    w.wait(lambda: "status=deferred" in w.logged())
    bad = w.dir + "/bad.yaml"
    with open(bad, "w") as f:
        f.write("routes: nonsense\n")
    w.say("config " + bad)
    w.wait(lambda: "the old one stays" in w.logged())
    w.config([("*", [peer.port])])
    w.say("config " + w.dir + "/postern.yaml")
    w.wait_empty()
    assert len(peer.mails) == 1
    w.end()


def test_start_that_fails_says_which_path_and_why():
    w = World([("*", [free_port()])])
    with open(w.dir + "/spool/outcomes", "w"):
        pass
    with contextlib.suppress(AssertionError):  # fake_edge has nobody to speak with
        w.say("start")
    w.wait(lambda: "cannot open the outcome log" in w.logged())
    assert w.dir + "/spool/outcomes: Not a directory" in w.logged(), w.logged()
    w.end()


def test_new_settings_hold_from_the_next_mail():
    peer = Peer()
    w = World([("*", [peer.port])], concurrency=1, retry=3600, extra=", source: 127.0.0.2, helo: out.neulan.net")
    w.start()
    w.put(b"x\r\n", "s@example.org", "a@example.net")
    w.wait_empty()
    peer.rcpt = lambda address: b"450 4.2.0 later\r\n"
    w.config([("*", [peer.port])], concurrency=3, retry=1, extra=", source: 127.0.0.3, helo: new.neulan.net")
    w.say("config " + w.dir + "/postern.yaml")
    time.sleep(2.5)  # the idle connection of the old settings ends
    w.put(b"x\r\n", "s@example.org", "b@example.net")
    w.wait(lambda: w.logged().count("status=deferred") >= 2)  # an hour would be too long
    assert w.ask("get", name="delivery.concurrency")["data"]["delivery.concurrency"] == 3
    assert peer.sources == {"127.0.0.2", "127.0.0.3"}, peer.sources
    assert b"EHLO new.neulan.net\r\n" in peer.commands
    w.config([("*", [peer.port])], expire=1)
    w.say("config " + w.dir + "/postern.yaml")
    w.wait(lambda: "status=bounced" in w.logged())
    w.end()


def test_concurrency_set_by_hand_outlives_a_reload():
    peer = Peer()
    w = World([("*", [peer.port])])
    w.start()
    assert w.ask("set", name="delivery.concurrency", value=0)["ok"]
    w.put(b"x\r\n", "s@example.org", "a@example.net")
    w.say("config " + w.dir + "/postern.yaml")
    time.sleep(0.5)
    assert w.count()["messages"] == 1 and not peer.mails  # the operator said: nothing leaves
    w.config([("*", [peer.port])], concurrency=2)
    w.say("config " + w.dir + "/postern.yaml")
    w.wait_empty()
    w.end()


def test_stop_lets_go_of_a_server_that_hangs():
    peer = Peer()
    peer.script = b"220 hi\r\n"
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        w = World([("*", [s.getsockname()[1]])])
        w.start()
        w.put(b"x\r\n", "s@example.org", "a@example.net")
        time.sleep(0.3)
        begin = time.time()
        assert w.say("stop") == "ended 0"
        assert time.time() - begin < 6
        w.end()


def test_speed_to_smtp_sink():
    sink = shutil.which("smtp-sink") or "/usr/sbin/smtp-sink"
    if not os.path.exists(sink):
        print("    left out: no smtp-sink")
        return
    port = free_port()
    user = ["-u", "nobody"] if os.getuid() == 0 else []
    child = subprocess.Popen([sink] + user + ["127.0.0.1:%d" % port, "200"])
    w = World([("*", [port])], concurrency=50, segment=64 << 20)
    w.fill(body_of(random.Random(4), 4000), 5000)
    begin = time.time()
    w.start()
    w.wait_empty(60)
    seconds = time.time() - begin
    assert w.count()["delivered"] == 5000
    print("    5000 mails of 4 KB in %.2f s: %.0f/s" % (seconds, 5000 / seconds))
    assert 5000 / seconds > 500
    child.terminate()
    child.wait()
    w.end()


def main():
    tests = [(n, t) for n, t in globals().items() if n.startswith("test_")]
    failed = 0
    for name, test in tests:
        if len(sys.argv) > 2 and not any(a in name for a in sys.argv[2:]):
            continue
        begin = time.time()
        try:
            test()
            print("ok %s (%.1f s)" % (name, time.time() - begin), flush=True)
        except Exception as e:
            failed += 1
            print("not ok %s: %s: %s" % (name, type(e).__name__, e), flush=True)
        for world in World.open[:]:
            world.end()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
