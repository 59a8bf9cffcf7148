"""Clients that break rules, one by one and by the hundred. Each gets its answer, honest ones go on, no process dies, and only honest
mail arrives."""
import socket
import threading
import time

from client import Client, message, session, stuff
from lab import DEFAULT, RELAY, Failed, Lab, expect, wait_for
from sink import Sink
from test_hostile import expect_alive

BODY = b'Subject: honest\r\n\r\nx\r\n'
TCP_DEFER_ACCEPT = 9
MANY = '198.18.0.1'  # and all of 198.18.0.0/16: in `many` any of it can be bound


def expect_end(lab, octets, want):
    """Said instead of a command, octets get this reply, and the session is over."""
    client = session(lab, 'web', RELAY)
    client.sock.sendall(octets)
    client.hear(want, octets[:40])
    expect(client.closed(), f'{octets[:40]}: the session goes on')


def check_lines(lab):
    for octets in (b'NO\0OP\r\n', b'\0' * 4096, b'NOOP\n', b'NO\rOP\r\n', b'x' * 5000, b'x' * 4095 + b'\r\n', b'\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n'):
        expect_end(lab, octets, '500 5.5.2')
    for octets in (b'GET / HTTP/1.1\r\nHost: x\r\n\r\nMAIL FROM:<a@neulan.net>\r\n', b'POST /x HTTP/1.0\r\n', b'CONNECT a:25 HTTP/1.1\r\n', b'Host: x\r\n'):
        expect_end(lab, octets, '554 5.5.1')
    client = session(lab, 'web', RELAY)
    client.say('x' * 600, '500 5.5.2')
    client.say('NOOP', '250')
    for _ in range(18):
        client.say('WHAT', '500')
    client.say('WHAT', '421 4.7.0')
    endless = session(lab, 'web', RELAY)
    endless.sock.sendall(b'y' * 5000000)  # the rest is thrown away, so that the reply can be read
    endless.hear('500 5.5.2', 'a line without an end')
    expect(endless.closed(), 'a line without an end is read on')


def check_early_talker(lab):
    with lab.inside('web'):
        sock = socket.socket()
    sock.setsockopt(socket.IPPROTO_TCP, TCP_DEFER_ACCEPT, 1)  # in a client: its last ACK waits for data to ride on
    sock.settimeout(10)
    sock.connect((RELAY, 25))
    sock.sendall(b'EHLO spam.example.org\r\n')
    early = Client(sock)
    early.hear('220')
    early.hear('554 5.5.1', 'octets before the greeting')
    expect(early.closed(), 'an early talker may stay')
    sock.close()


def check_recipients(lab, sink):
    client = session(lab, 'web', RELAY)
    client.say('MAIL FROM:<form@neulan.net>', '250')
    client.sock.sendall(b''.join(f'RCPT TO:<u{n}@example.com>\r\n'.encode() for n in range(1002)))
    for n in range(1002):
        client.hear('250 2.1.5' if n < 1000 else '452 4.5.3', f'recipient {n}')
    client.say('DATA', '354')
    client.send_data(b'Subject: thousand\r\n\r\nx\r\n')
    client.quit()

    def recipients():
        return sorted(r for m in list(sink.mails) if b'thousand' in m.data for r in m.recipients)
    wait_for('all recipients', lambda: len(recipients()) >= 1000, 20)
    expect(recipients() == sorted(f'u{n}@example.com' for n in range(1000)), 'not the thousand that were accepted')


def check_sizes(lab, sink):
    client = session(lab, 'web', RELAY, timeout=60)
    line = b'z' * 998 + b'\r\n'
    client.send_mail('form@neulan.net', ['big@example.com'], line * 60000, '552 5.3.4')
    for parameter, want in (('99999999999999999999', '552'), ('60000000', '552'), ('-1', '501'), ('1e3', '501'), ('', '501'), ('10 SIZE=10', '501')):
        client.say(f'MAIL FROM:<form@neulan.net> SIZE={parameter}', want)
    lies = {'low': ('10', message(1000000, 'low')), 'high': ('50000000', message(100, 'high')), 'one-line': ('1', b'X-Test: one-line\r\n\r\n' + b'w' * 3000000 + b'\r\n')}
    for name, (size, data) in lies.items():
        client.say(f'MAIL FROM:<form@neulan.net> SIZE={size}', '250')
        client.say(f'RCPT TO:<{name}@example.com>', '250')
        client.say('DATA', '354')
        client.send_data(data)
    client.quit()
    for name, (_, data) in lies.items():
        mail = wait_for(f'mail {name}', lambda: [m for m in list(sink.mails) if m.recipients == [f'{name}@example.com']], 20)[0]
        expect(mail.body_from(b'X-Test: ') == data, f'{name} changed')


def test_rule_breakers_one_by_one():
    with Lab() as lab:
        sink = Sink(lab)
        lab.start_postern()
        pids, honest = lab.postern_pids(), session(lab, 'farm', RELAY)
        check_lines(lab)
        check_early_talker(lab)
        check_recipients(lab, sink)
        check_sizes(lab, sink)
        honest.send_mail('form@neulan.net', ['honest@example.com'], BODY)
        wait_for('honest mail', lambda: any(m.recipients == ['honest@example.com'] for m in list(sink.mails)), 20)
        expect(not any('big@example.com' in m.recipients for m in sink.mails), 'a message over the limit arrived')
        expect_alive(lab, pids)


# --- by the hundred


def many_addresses(lab):
    ip = ('ip', 'route', 'add', '198.18.0.0/16')
    lab.run('many', 'ip', 'route', 'add', 'local', '198.18.0.0/16', 'dev', 'lo')
    lab.run('net', *ip, 'dev', 'c1')


def connect_from(lab, address, server=DEFAULT):
    with lab.inside('many'):
        sock = socket.socket()
    sock.settimeout(20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.bind((address, 0))
    sock.connect((server, 25))
    lab.closers.append(sock.close)
    return Client(sock)


def address(number):
    return f'198.18.{1 + number // 250}.{1 + number % 250}'


def in_threads(function, numbers, threads=4):
    numbers, failures = list(numbers), []

    def work():
        while numbers and not failures:
            number = numbers.pop()
            try:
                function(number)
            except (OSError, Failed) as error:
                failures.append(f'{number}: {error}')
    pool = [threading.Thread(target=work) for _ in range(threads)]
    for t in pool:
        t.start()
    for t in pool:
        t.join()
    expect(not failures, '; '.join(failures[:3]))


def a_thousand_clients(lab, sink, count=1000):
    clients = {}

    def open_one(number):
        clients[number] = connect_from(lab, address(number))
        clients[number].hello()

    def mail_one(number):
        clients[number].send_mail(f's{number}@example.org', [f'u{number}@neulan.net'], BODY)
        clients[number].quit()
    in_threads(open_one, range(count))
    expect(lab.ctl_json('status')['vservers']['default']['open'] == count, 'not all are open at once')
    in_threads(mail_one, range(count))
    wait_for('a mail from each', lambda: len(sink.mails) >= count, 30)
    expect(sorted(m.recipients[0] for m in sink.mails) == sorted(f'u{n}@neulan.net' for n in range(count)), 'a mail is missing or came twice')
    wanted = {address(n) for n in range(count)}  # lines are written in batches: the last may come after their mails
    wait_for('a line of the log for each', lambda: {line.split()[4] for line in lab.log('default').splitlines() if ' queued ' in line} == wanted)


def one_client_too_often(lab):
    held = [connect_from(lab, MANY) for _ in range(50)]
    for client in held:
        client.hello()
    more = connect_from(lab, MANY)
    more.hear('421 4.7.0', 'the fifty-first connection')
    connect_from(lab, address(1)).hello()
    held[0].quit()
    held[0].sock.close()
    wait_for('room for one', lambda: connect_from(lab, MANY).reply().startswith('220'), 5)
    for client in held[1:]:
        client.sock.close()


def dripping_senders(lab, sink, count=200):
    """One octet now and then, in a body and in a command; and one sender that is slow but not that slow."""
    lab.ctl('set', 'limits.command_timeout', '3')
    slow = connect_from(lab, address(999))
    drips = [connect_from(lab, address(n)) for n in range(count)]
    for client in [*drips[::2], slow]:
        client.hear('220')
        client.sock.sendall(b'EHLO x\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<slow@neulan.net>\r\nDATA\r\n')
        for want in ('250', '250', '250', '354'):
            client.hear(want, 'slow')
    for client in drips[1::2]:
        client.hello()
    alive, end = list(drips), time.monotonic() + 15
    while alive:
        expect(time.monotonic() < end, f'{len(alive)} of {count} dripping senders are still served')
        slow.sock.sendall(b'0123456789' * 60 + b'\r\n')
        alive = [c for c in alive if not dripped_out(c)]
        session(lab, 'web', RELAY).send_mail('form@neulan.net', ['honest@example.com'], BODY)
        time.sleep(0.3)
    slow.sock.sendall(b'.\r\n')
    slow.hear('250 2.6.0', 'a sender that is slow but steady')
    lab.ctl('set', 'limits.command_timeout', '300')


def dripped_out(client):
    try:
        client.sock.sendall(b'x')
        client.sock.setblocking(False)
        text = client.sock.recv(1000)
        expect(text.startswith(b'421 4.4.2'), f'a dripping sender got {text}')
        return True
    except BlockingIOError:
        return False
    except (BrokenPipeError, ConnectionResetError):
        raise Failed('a dripping sender was cut off without a word')
    finally:
        client.sock.settimeout(20)


def test_clients_by_the_hundred():
    with Lab(clients={'web': ('10.12.170.20', 'lan'), 'many': (MANY, 'routed')}) as lab:
        many_addresses(lab)
        sink = Sink(lab)
        lab.start_postern()
        pids = lab.postern_pids()
        a_thousand_clients(lab, sink)
        one_client_too_often(lab)
        dripping_senders(lab, sink)
        expect_alive(lab, pids)
