"""The open-relay battery and message smuggling, over kernel TCP, at both virtual servers.

Every class of recipient that could be routed twice, crossed with forms of the sender, with names in HELO (our own among them), with
what the session did before, and with clients that may relay and that may not. Nothing may reach the next hop but what is
expected by name.
"""
import re
import threading

from client import Client
from lab import DEFAULT, RELAY, Failed, Lab, expect
from sink import Sink

# Whatever the client may, these are refused: local means neulan.net, foreign example.com.
ROUTED_TWICE = {
    'percent': [b'<u%example.com@neulan.net>', b'<u%example.com>', b'<u@neulan.net%example.com>', b'<u%25example.com@neulan.net>',
                b'<u%40example.com@neulan.net>', b'<u%a%example.com@neulan.net>', b'<u@[fe80::1%eth0]>'],
    'bang': [b'<example.com!u@neulan.net>', b'<example.com!u>', b'<a!b!u@neulan.net>', b'<u@example.com!neulan.net>'],
    'source route': [b'<@neulan.net:u@example.com>', b'<@a.example,@neulan.net:u@example.com>', b'<@example.com:u@neulan.net>', b'<@neulan.net>'],
    'quoted at': [b'<"u@example.com"@neulan.net>', b'<"u\\@example.com"@neulan.net>', b'<"u%example.com"@neulan.net>',
                  b'<"example.com!u"@neulan.net>', b'<"@neulan.net:u"@neulan.net>', b'<"u@example.com>"@neulan.net>', b'<"u@example.com">'],
    'double at': [b'<u@example.com@neulan.net>', b'<u@neulan.net@example.com>', b'<u@@neulan.net>', b'<"u"@example.com@neulan.net>'],
    'encapsulated': [b'<IMCEASMTP-u+40example+2Ecom@neulan.net>', b'<imceaex-_O=X@neulan.net>', b'<SRS0=ab=cd=example.com=u@neulan.net>',
                     b'<SRS1=ab=example.com==cd=ef=u@neulan.net>', b'<"SRS0=ab=cd=example.com=u"@neulan.net>', b'</S=u/O=org/@neulan.net>',
                     b'<|prog@neulan.net>', b'<"IMCEASMTP-u+40example+2Ecom"@neulan.net>'],
    'dots': [b'<u@neulan.net.>', b'<u@example.com.>', b'<u@neulan..net>', b'<u@.neulan.net>', b'<u.@neulan.net>', b'<.u@neulan.net>'],
    'several': [b'<u@neulan.net>,<u@example.com>', b'<u@neulan.net><u@example.com>', b'<u@neulan.net,u@example.com>',
                b'<u@neulan.net;u@example.com>', b'<g:u@neulan.net;>', b'<u@neulan.net> <u@example.com>'],
    'control': [b'<u\t@neulan.net>', b'<u@neulan.net\x01>', b'<u\x7f@neulan.net>', b'<"u\x1b"@neulan.net>'],
    'literal': [b'<u@[10.12.170.30]>', b'<u@10.12.170.30>', b'<u@168602142>', b'<u@0x0a0caa1e>', b'<u@012.014.0252.036>', b'<u@127.1>',
                b'<u@[IPv6:::ffff:10.12.170.30]>', b'<u@::ffff:10.12.170.30>', b'<u@[neulan.net]>', b'<u@[]>'],
    'not ascii': ['<u\uff20example.com@neulan.net>'.encode(), '<u@neulan\u3002net>'.encode(), '<u@n\u0435ulan.net>'.encode(), b'<u\xff@neulan.net>',
                  '<u\uff05example.com@neulan.net>'.encode()],
    'grammar': [b'<>', b'u@neulan.net', b'<u@neulan.net', b'<<u@neulan.net>>', b'<u @neulan.net>', b'< u@neulan.net>', b'<u>', b'<u@>', b'<@>',
                b'<u@neulan.net:25>', b'<u@example.com:x@neulan.net>', b'<u(c)@neulan.net>', b'<u@neulan.net/x>', b'<u@-neulan.net>', b'',
                b'<' + b'a' * 200 + b'@neulan.net>'],
    'parameters': [b'<u@neulan.net> ORCPT=rfc822;u@example.com', b'<u@neulan.net> ORCPT=rfc822;u+00@example.com', b'<u@neulan.net> NOTIFY=NEVER',
                   b'<u@neulan.net> X=<u@example.com>', b'<u@neulan.net> RELAY=YES', b'<u@neulan.net>\tX=1'],
}
# A foreign domain, plainly: relaying, and only a client in the relay list may.
FOREIGN = [b'<u@example.com>', b'<u@neulan.net.example.com>', b'<u@xneulan.net>', b'<u@neulan.ne>', b'<postmaster@example.com>', b'<u@sub.neulan.net>',
           b'<neulan.net@example.com>', b'<u@net>', b'<U@EXAMPLE.COM>', b'<u@example.xn--com>']
LOCAL = [b'<steven@neulan.net>', b'<postmaster>', b'<steven@NEULAN.net>', b'<"first last"@neulan.net>']

SENDERS = [b'<>', b'<a@example.org>', b'<steven@neulan.net>', b'<unqualified>', b'<a@[10.12.170.20]>', b'<postmaster@neulan.net>',
           b'<SRS0=ab=cd=neulan.net=u@example.org>', b'<steven@neulan.net> AUTH=<steven@neulan.net>']
REFUSED_SENDERS = SENDERS[3:5] + SENDERS[7:]
NAMES = [b'EHLO client.example.org', b'HELO mail.neulan.net', b'EHLO smtp-relay.neulan.net', b'EHLO neulan.net', b'HELO localhost', b'EHLO [10.12.170.20]']
# What a session did before. None of it may leave anything behind.
BEFORE = [
    [],
    [b'MAIL FROM:<a@neulan.net>', b'RCPT TO:<before@neulan.net>', b'RSET'],
    [b'AUTH PLAIN AHN0ZXZlbgB4'],
    [b'XCLIENT ADDR=10.12.170.20 LOGIN=steven'],
    [b'PROXY TCP4 10.12.170.20 10.12.170.74 1234 25'],
    [b'STARTTLS', b'EHLO smtp-relay.neulan.net'],
    [b'MAIL FROM:<a@neulan.net>', b'RCPT TO:<before@neulan.net>', b'BDAT 3 LAST', b'RSET'],
    [b'MAIL FROM:<a@neulan.net>', b'RCPT TO:<before@neulan.net>', b'EHLO again.example.org'],
    [b'MAIL FROM:<a@neulan.net>', b'RCPT TO:<u%example.com@neulan.net>', b'RSET', b'HELO again.example.org'],
]
# (client, virtual server, may it relay)
FLOWS = [('internet', DEFAULT, False), ('web', DEFAULT, False), ('vpn', RELAY, False), ('web', RELAY, True), ('farm', RELAY, True)]


def path(text):
    return text[1:-1].decode()


def as_kept(address):
    local, _, domain = address.rpartition('@')
    return f'{local}@{domain.lower()}' if local else address


class Attempt:
    """One session: everything pipelined but the body. Fills wanted with the recipients that must arrive, none for a refused sender."""

    def __init__(self, flow, name, sender, before):
        self.flow, self.name, self.sender, self.before = flow, name, sender, before
        self.forms = [f for forms in ROUTED_TWICE.values() for f in forms]
        self.refused_sender = sender in REFUSED_SENDERS
        good = LOCAL + (FOREIGN if flow[2] else [])
        self.bad = self.forms + ([] if flow[2] else FOREIGN)
        self.good = good
        self.wanted = [] if self.refused_sender else [as_kept(path(g)) for g in good]

    def hear_all(self, client, paths, accepted):
        for p in paths:
            reply = client.reply()
            ok = reply.startswith('250') if accepted else reply[0] in '45'
            expect(ok, f'{self.flow} {self.name} {self.sender} after {self.before}: RCPT TO:{p} got {reply!r}')

    def run(self, lab):
        client = Client(lab.connect(*self.flow[:2]))
        client.hear('220')
        rcpts = [b'RCPT TO:' + p for p in self.bad + self.good]
        lines = [self.name, *self.before, b'MAIL FROM:' + self.sender, *rcpts, b'DATA']
        client.sock.sendall(b''.join(line + b'\r\n' for line in lines))
        for line in (self.name, *self.before):
            client.hear(None, line)
        client.hear('5' if self.refused_sender else '250', self.sender)
        self.hear_all(client, self.bad, False)
        self.hear_all(client, self.good, not self.refused_sender)
        if self.refused_sender:
            client.hear('503', 'DATA without a sender')
        else:
            client.hear('354')
            client.send_data(b'Subject: battery\r\n\r\nx\r\n')
        client.quit()


def run_each(attempts, lab, threads=4):
    """Each attempt once, a few at a time; the first failures."""
    todo, failures = list(attempts), []

    def work():
        while todo and not failures:
            attempt = todo.pop()
            try:
                attempt.run(lab)
            except (Failed, OSError) as error:
                failures.append(f'{type(error).__name__}: {error}')
    pool = [threading.Thread(target=work) for _ in range(threads)]
    for t in pool:
        t.start()
    for t in pool:
        t.join()
    expect(not failures, '\n'.join(failures[:3]))


def patient(config):
    for vserver in config['virtual_servers']:
        vserver['max_connections_per_client'] = 1000


def test_no_form_of_a_recipient_relays():
    attempts = []
    for flow in FLOWS:
        for name in NAMES:
            for sender in SENDERS:
                attempts.append(Attempt(flow, name, sender, BEFORE[len(attempts) % len(BEFORE)]))
    with Lab(configure=patient) as lab:
        sink = Sink(lab)
        lab.start_postern()
        lab.ctl('set', 'limits.errors', '1000')
        run_each(attempts, lab)
        mailed = [a for a in attempts if a.wanted]
        mails = sink.settled(len(mailed))
        got = sorted(sorted(m.recipients) for m in mails)
        expect(got == sorted(sorted(a.wanted) for a in mailed), 'the next hop got other recipients than the tests had accepted')
        per_server = lab.ctl_json('status')['vservers']
        expect(per_server['default']['rcpt_relayed'] == 0, f'default relayed: {per_server["default"]}')
        tried = sum(len(a.bad) for a in attempts)
        print(f'      | {len(attempts)} sessions, {tried} recipients refused, {len(mails)} mails arrived', flush=True)


# --- smuggling

INNER = b'MAIL FROM:<evil@example.org>\r\nRCPT TO:<smuggled@neulan.net>\r\nDATA\r\nSubject: inner\r\n\r\ninner\r\n.\r\n'
# Each is taken for the end of a message by some server. None is by us, and none is repaired.
ENDS = [b'\n.\n', b'\n.\r\n', b'\r\n.\n', b'\r.\r', b'\r.\r\n', b'\r\n.\r', b'\n.\r', b'\r\n.\r\r\n', b'\r\r\n.\r\n', b'\r\n\0.\r\n', b'\r\n.\0\r\n',
        b'\r\n.\r\0\n', b'\n\r.\n\r', b'\r\n.\n\r\n', b'\0', b'\n', b'\r', b'\r\n.\r\x0b\n', b'\r\0']
OUTER = b'Subject: outer\r\n\r\ntext'


class Smuggle:
    """A message with a false end and another one behind it; cut: where the segments part, None: every octet by itself."""

    def __init__(self, server, end, cut):
        self.server, self.end, self.cut = server, end, cut

    def parts(self):
        data = OUTER + self.end + INNER
        if self.cut is None:
            around = range(len(OUTER) - 2, len(OUTER) + len(self.end) + 3)
            return [data[:around[0]]] + [data[i:i + 1] for i in around] + [data[around[-1] + 1:]]
        at = len(OUTER) + self.cut
        return [data[:at], data[at:]]

    def run(self, lab):
        client = Client(lab.connect('web', self.server))
        client.hello()
        client.say('MAIL FROM:<form@neulan.net>', '250')
        client.say('RCPT TO:<outer@neulan.net>', '250')
        client.say('DATA', '354')
        for part in self.parts():
            client.sock.sendall(part)
        client.hear('550 5.5.2', f'{self.end} cut at {self.cut}')
        expect(client.closed(), f'{self.end} cut at {self.cut}: the session goes on')
        client.sock.close()


class Split:
    """Two honest mails and a QUIT, pipelined; the segments part at one place."""

    FIRST = b'MAIL FROM:<form@neulan.net>\r\nRCPT TO:<outer@neulan.net>\r\nDATA\r\n'
    BODY = b'Subject: outer\r\n\r\n..\r\n. \r\n.x\r\n\r\n'
    SENT = FIRST + b'Subject: outer\r\n\r\n...\r\n.. \r\n..x\r\n\r\n.\r\n'

    def __init__(self, server, at):
        self.server, self.at = server, at

    def run(self, lab):
        client = Client(lab.connect('web', self.server))
        client.hello()
        both = self.SENT * 2 + b'QUIT\r\n'
        client.sock.sendall(both[:self.at])
        client.sock.sendall(both[self.at:])
        for want in ('250', '250', '354', '250 2.6.0') * 2 + ('221',):
            client.hear(want, f'split at {self.at}')
        client.sock.close()


def test_no_false_end_of_data_ends_it():
    attempts = [Smuggle(server, end, cut) for server in (DEFAULT, RELAY) for end in ENDS for cut in [None, *range(-1, len(end) + 2)]]
    splits = [Split(server, at) for server in (DEFAULT, RELAY) for at in range(1, 2 * len(Split.SENT), 2 if server == RELAY else 3)]
    with Lab(configure=patient) as lab:
        sink = Sink(lab)
        lab.start_postern()
        run_each(attempts, lab)
        run_each(splits, lab)
        mails = sink.settled(2 * len(splits))
        for mail in mails:
            expect(mail.recipients == ['outer@neulan.net'], f'smuggled: {mail.sender} {mail.recipients}')
            expect(mail.body_from(b'Subject: outer') == Split.BODY, f'changed: {mail.data!r}')
            expect(not re.search(rb'(?<!\r)\n|\r(?!\n)|\0', mail.data), f'line ends that are not ours: {mail.data!r}')
        print(f'      | {len(attempts)} false ends, {len(splits)} splits, {len(mails)} mails', flush=True)
