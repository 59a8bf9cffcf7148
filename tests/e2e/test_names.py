"""Clients that are known by their names: real and scripted name servers, answers that live shortly, fail, lie, or never come."""
import os
import signal
import socket
import time

from client import Client, session
from name_server import A, CNAME, PTR, SERVFAIL, Knot, Scripted, address, ask_scripted, name, reverse
import lab as lab_module
from lab import CLIENTS, HOP, RELAY, Lab, expect, ip, wait_for
from sink import Sink

PATIENT = True
LAPTOP = 'laptop6247.neulan.net'
VPN, MOVED = CLIENTS['vpn'][0], '10.200.3.99'
BODY = b'Subject: name\r\n\r\nx\r\n'


def relay_by_name(config):
    relay = config['virtual_servers'][1]
    relay['relay']['only'].append(LAPTOP)
    relay['log']['format'] = 'json'


def scripted_relay(config):
    relay_by_name(config)
    ask_scripted(config)


def scripted(**rest):
    """vpn is the laptop, unless rest says otherwise of its PTR or of the name's A."""
    return {(reverse(VPN), PTR): rest.get('ptr', [name(LAPTOP)]), (LAPTOP, A): rest.get('a', [address(VPN)])}


def rcpt(client, want, to='bob@example.com'):
    client.say('RSET', '250')
    client.say('MAIL FROM:<a@neulan.net>', '250')
    return client.say(f'RCPT TO:<{to}>', want)


def from_moved(lab):
    with lab.inside('vpn'):
        sock = socket.socket(socket.AF_INET)
    sock.settimeout(20)
    sock.bind((MOVED, 0))
    sock.connect((RELAY, 25))
    lab.closers.append(sock.close)
    client = Client(sock)
    client.hello()
    return client


def test_names_right_moves_with_the_address():
    """Dynamic update at a real name server, seen in sessions that are open."""
    def configure(config):
        relay_by_name(config)
        config['dns'] = {'servers': [HOP]}

    with Lab(configure=configure) as lab:
        sink = Sink(lab)
        ip('addr', 'add', f'{MOVED}/32', 'dev', 'eth0', netns=lab.space('vpn'))
        number = list(lab.clients).index('vpn')
        ip('route', 'add', f'{MOVED}/32', 'dev', f'c{number}', netns=lab.space('net'))
        knot = Knot(lab, {'neulan.net': f'laptop6247 A {VPN}\n',
                          '3.200.10.in-addr.arpa': f'4 PTR {LAPTOP}.\n99 PTR {LAPTOP}.\n'})
        lab.start_postern()
        here, there = session(lab, 'vpn', RELAY), from_moved(lab)
        here.send_mail('a@neulan.net', ['bob@example.com'], BODY)
        mail = wait_for('the mail', lambda: sink.mails and sink.mails[0])
        expect(f'({LAPTOP} [{VPN}])'.encode() in mail.data, f'the name is not in Received: {mail.data[:300]!r}')
        line = wait_for('a log line', lambda: [x for x in lab.log('relay').splitlines() if '"rcpt"' in x])[0]
        expect(f'"client_name":"{LAPTOP}"' in line and '"rule":"relay"' in line and '"rule_line"' in line, line)
        rcpt(there, '550 5.7.1')
        knot.update('neulan.net', f'del {LAPTOP}. A', f'add {LAPTOP}. 1 A {MOVED}')
        wait_for('the right to move away', lambda: rcpt(here, None).startswith('550 5.7.1 Unable to relay'), 20, 1)
        wait_for('the right to move there', lambda: rcpt(there, None).startswith('250'), 20, 1)
        # A new epoch matches the name again, without another question.
        lab.vserver('relay')['relay']['only'].remove(LAPTOP)
        lab.write_config()
        lab.ctl('reload')
        rcpt(there, '550 5.7.1')


def test_names_unknown_is_451_and_lies_are_550():
    cases = [
        ('the servers of the reverse zone fail', scripted(ptr=SERVFAIL), '451 4.4.3'),
        ('those of the name do', scripted(a=SERVFAIL), '451 4.4.3'),
        ('there is no PTR', scripted(ptr=3), '550 5.7.1'),
        ('PTR lies', scripted(a=[address('192.0.2.7')]), '550 5.7.1'),
        ('another name is confirmed', {(reverse(VPN), PTR): [name('pc.neulan.net')], ('pc.neulan.net', A): [address(VPN)]}, '550 5.7.1'),
        ('two names, one is listed', {(reverse(VPN), PTR): [name('pc.neulan.net'), name(LAPTOP)],
                                      ('pc.neulan.net', A): [address(VPN)], (LAPTOP, A): [address(VPN)]}, '250 2.1.5'),
        ('a name that is unlisted, and one that nobody tells', {(reverse(VPN), PTR): [name('pc.neulan.net'), name(LAPTOP)],
                                                                ('pc.neulan.net', A): [address(VPN)], (LAPTOP, A): SERVFAIL},
         '451 4.4.3'),
        ('CNAMEs in a circle', {**scripted(), (LAPTOP, A): 0, (LAPTOP, CNAME): [name('b.neulan.net')],
                                ('b.neulan.net', CNAME): [name(LAPTOP)]}, ('451', '550')),
        ('4000 addresses, ours the last', scripted(a=[address(f'192.0.{n // 250}.{n % 250 + 1}') for n in range(3999)] + [address(VPN)]),
         ('451', '550')),
        ('names that point at themselves', scripted(ptr=b'\xc0\x0c\x00\x0c\x00\x01\x00\x00\x00\x01\x00\x02\xc0\x29'), ('451', '550')),
        ('a name with line ends in it', scripted(ptr=[b'\x0bx\r\n250 ok\r\n\x06neulan\x03net\0']), '550 5.7.1'),
    ]
    with Lab(configure=scripted_relay) as lab:
        Sink(lab)
        dns = Scripted(lab, scripted())
        lab.start_postern()
        # Six seconds each: the short run takes a failure, a lie, a right and an attack.
        for what, records, want in cases if lab_module.FULL else [cases[n] for n in (1, 3, 5, 10)]:
            dns.records = records
            # A new resolver, so that nothing of the case before is known.
            pid = list(lab.postern_pids('postern-lookup'))[0]
            os.kill(pid, signal.SIGKILL)
            wait_for('postern-lookup is back', lambda p=pid: [q for q in lab.postern_pids('postern-lookup') if q != p])
            time.sleep(6)  # answers live five seconds at least
            client = session(lab, 'vpn', RELAY, timeout=30)
            got = rcpt(client, None)
            expect(got.startswith(want), f'{what}: wanted {want}, got {got!r}')
            rcpt(client, '250', 'steven@neulan.net')
        expect(lab.ctl_json('status')['packets']['unaccounted'] == 0, 'packets are lost')


def test_names_waiting_holds_nobody_else():
    """The name server says nothing: who needs it waits and is deferred, after the death of postern-lookup at once."""
    with Lab(configure=scripted_relay) as lab:
        Sink(lab)
        dns = Scripted(lab, scripted(ptr=None))
        lab.start_postern()
        waiting = [session(lab, 'vpn', RELAY, timeout=40) for _ in range(30)]
        for client in waiting:
            client.sock.sendall(b'MAIL FROM:<a@neulan.net>\r\nRCPT TO:<bob@example.com>\r\n')
            client.hear('250 2.1.0')
        wait_for('the question', lambda: dns.asked)
        start = time.monotonic()
        for _ in range(5):
            web = session(lab, 'web', RELAY)
            web.send_mail('form@neulan.net', ['bob@example.com'], BODY)
            web.quit()
        took = time.monotonic() - start
        expect(took < 5, f'five mails of another client took {took:.1f} s')
        expect(lab.ctl('reload').returncode == 0, 'no reload while sessions wait')
        os.kill(list(lab.postern_pids('postern-lookup'))[0], signal.SIGKILL)
        start = time.monotonic()
        for client in waiting:
            client.hear('451 4.4.3')
        expect(time.monotonic() - start < 5, 'the dead were waited for')
        rcpt(waiting[0], '250', 'steven@neulan.net')
        # The next question goes to the new process and times out.
        time.sleep(3)
        start = time.monotonic()
        rcpt(waiting[1], '451 4.4.3')
        expect(10 < time.monotonic() - start < 25, f'a silent name server took {time.monotonic() - start:.1f} s')
        dns.records = scripted()
        wait_for('the laptop to relay', lambda: rcpt(waiting[2], None).startswith('250'), 60, 1)


def connect_by_name(config):
    relay = config['virtual_servers'][1]
    relay['connections'] = {'only': ['10.12.0.0/16', '.neulan.net'], 'refuse': 'reset'}
    relay['log']['format'] = 'json'
    ask_scripted(config)


def is_reset(lab, short):
    try:
        return Client(lab.connect(short, RELAY, timeout=30)).closed()
    except ConnectionResetError:
        return True


def test_names_connections_are_judged_before_the_greeting():
    with Lab(configure=connect_by_name) as lab:
        Sink(lab)
        dns = Scripted(lab, scripted())
        lab.start_postern()
        session(lab, 'vpn', RELAY).quit()
        session(lab, 'web', RELAY).quit()
        expect(is_reset(lab, 'internet'), 'a client without a name got in')
        dns.records = {(reverse(CLIENTS['internet'][0]), PTR): SERVFAIL}
        time.sleep(6)
        client = Client(lab.connect('internet', RELAY, timeout=30))
        client.hear('421 4.4.3')
        expect(client.closed(), 'open after 421')
        # Octets before the greeting, while it waits.
        dns.records = {(reverse(CLIENTS['internet'][0]), PTR): None}
        time.sleep(6)  # libunbound remembers a failure for five seconds
        client = Client(lab.connect('internet', RELAY, timeout=30))
        time.sleep(0.5)
        client.sock.sendall(b'EHLO x\r\n')
        client.hear('554 5.5.1')
        # The name goes away under an open session.
        dns.records = scripted()
        client = session(lab, 'vpn', RELAY, timeout=30)
        dns.records = {}
        time.sleep(8)
        client.say('NOOP', '421 4.7.1')


def test_names_exceptions_take_who_has_no_name():
    def configure(config):
        relay = config['virtual_servers'][1]
        relay['connections'] = {'all_except': ['.bad.example'], 'refuse': 'reply'}
        relay['relay'] = {'only': []}
        ask_scripted(config)

    web = CLIENTS['web'][0]
    records = {(reverse(VPN), PTR): [name('x.bad.example')], ('x.bad.example', A): [address(VPN)],
               (reverse(web), PTR): [name('web.neulan.net')], ('web.neulan.net', A): [address(web)]}
    with Lab(configure=configure) as lab:
        Sink(lab)
        Scripted(lab, records)
        lab.start_postern()
        session(lab, 'web', RELAY).quit()
        for short in ('vpn', 'internet'):
            Client(lab.connect(short, RELAY, timeout=30)).hear('554 5.7.1')
