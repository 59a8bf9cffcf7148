"""posternctl, signals, the control socket, and what idling costs."""
import json
import os
import signal
import socket
import subprocess
import time

from client import Client, session
from lab import BUILD, DEFAULT, HOP, RELAY, Lab, expect, wait_for
from sink import Sink

BODY = b'Subject: control\r\n\r\nx\r\n'


def test_queue_waits_for_the_next_hop():
    with Lab() as lab:
        lab.start_postern()
        web = session(lab, 'web', RELAY)
        for n in range(3):
            web.send_mail('form@neulan.net', [f'u{n}@example.com'], BODY)
        queue = wait_for('three in the queue', lambda: (q := lab.ctl_json('queue', 'list'))['total'] == 3 and q)
        expect(sorted(m['recipients'][0]['address'] for m in queue['messages']) == ['u0@example.com', 'u1@example.com', 'u2@example.com'],
               str(queue))
        sink = Sink(lab)
        wait_for('delivery once the next hop is there', lambda: len(sink.mails) == 3, 20)
        wait_for('an empty queue', lambda: lab.ctl_json('queue', 'count')['messages'] == 0)


def test_queue_refused_mail_becomes_a_bounce():
    with Lab() as lab:
        sink = Sink(lab)
        sink.rcpt_modes['gone@example.com'] = 'refuse'
        lab.start_postern()
        session(lab, 'web', RELAY).send_mail('form@neulan.net', ['gone@example.com'], BODY)
        mail = wait_for('the bounce', lambda: sink.mails and sink.mails[0], 20)
        expect(mail.sender == '' and mail.recipients == ['form@neulan.net'], f'{mail.sender} {mail.recipients}')
        expect(b'550 5.1.1 nobody here' in mail.data and b'message/delivery-status' in mail.data, f'{mail.data!r}')


def test_vserver_stop_drain_start():
    with Lab() as lab:
        Sink(lab)
        lab.start_postern()
        idle, busy = session(lab, 'web', RELAY), session(lab, 'farm', RELAY)
        other = session(lab, 'internet', DEFAULT)
        busy.say('MAIL FROM:<a@neulan.net>', '250')
        busy.say('RCPT TO:<b@example.com>', '250')
        busy.say('DATA', '354')
        lab.ctl('vserver', 'drain', 'relay')
        idle.hear('421 4.3.2')
        expect(idle.closed(), 'a drained session stays open')
        busy.send_data(BODY)
        expect(busy.reply().startswith('421'), 'after its message a drained session goes on')
        try:
            lab.connect('web', RELAY)
            expect(False, 'a draining virtual server took a connection')
        except ConnectionRefusedError:
            pass
        other.say('NOOP', '250')
        lab.ctl('vserver', 'start', 'relay')
        session(lab, 'web', RELAY).quit()
        lab.ctl('vserver', 'stop', 'default')
        other.hear('421')
        expect({v['state'] for v in lab.ctl_json('vserver', 'list')['vservers'].values()} == {'running', 'stopped'}, 'states')


def test_get_and_set():
    with Lab() as lab:
        lab.start_postern()
        lab.ctl('set', 'limits.command_timeout', '2')
        expect('2' in lab.ctl('get', 'limits.command_timeout').stdout, 'get does not show what was set')
        expect(lab.ctl('set', 'no.such', '1', check=False).returncode != 0, 'an unknown name was set')
        expect(lab.ctl('set', 'dataplane.poll', 'sideways', check=False).returncode != 0, 'a bad value was set')
        client = session(lab, 'web', RELAY)
        start = time.monotonic()
        client.hear('421 4.4.2')
        expect(1 < time.monotonic() - start < 4, 'the time-out that was set is not the one that came')


def test_explain():
    with Lab() as lab:
        lab.start_postern()
        done = lab.ctl('--json', 'explain', '--vserver', 'relay', '--client', '10.200.3.4', '--recipient', 'bob@example.com', check=False)
        answer = json.loads(done.stdout)
        expect((answer['verdict'], answer['stage']) == ('refuse', 'rcpt') and answer['reply'].startswith('550 5.7.1 Unable to relay'), str(answer))
        expect(answer['epoch'] == 1 and answer['would_change'], str(answer))
        done = subprocess.run([f'{BUILD}/posternctl', '--config', lab.path('postern.yaml'), '--json', 'explain', '--vserver', 'relay',
                               '--client', '198.51.100.7'], capture_output=True, text=True)
        expect(json.loads(done.stdout)['stage'] == 'connect', done.stdout)


def test_garbage_on_the_control_socket():
    with Lab() as lab:
        lab.start_postern()
        pids = lab.postern_pids()
        for garbage in (b'\0' * 100000, b'{', b'{"verb":1}\n', b'[]\n', b'{"verb":"status","args":[]}\n', b'\xff\xfe\n', b'{"verb":"explain"}\n',
                        b'{"verb":"' + b'x' * 70000 + b'"}\n', b'[' * 50000 + b'\n', os.urandom(5000)):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(3)
            s.connect(lab.path('control.sock'))
            try:
                s.sendall(garbage)
                s.shutdown(socket.SHUT_WR)
                s.recv(65536)
            except OSError:
                pass
            s.close()
        held = []
        for _ in range(100):
            s = socket.socket(socket.AF_UNIX)
            s.settimeout(1)
            try:
                s.connect(lab.path('control.sock'))
            except OSError:
                break
            held.append(s)
        for s in held:
            s.close()
        wait_for('an answer after all that', lambda: lab.ctl('status', check=False).returncode == 0, 15)
        expect(lab.postern_pids() == pids, 'a process died')


def test_signals():
    with Lab() as lab:
        Sink(lab)
        lab.start_postern()
        web = session(lab, 'web', RELAY)
        lab.vserver('relay')['relay']['only'] = ['10.12.8.0/24']
        lab.write_config()
        lab.posternd.send_signal(signal.SIGHUP)
        wait_for('the reload by SIGHUP', lambda: lab.ctl_json('status')['epoch'] == 2)
        web.say('MAIL FROM:<a@neulan.net>', '250')
        web.say('RCPT TO:<b@example.com>', '550')
        # The running configuration survives a crash of edge, even when the file is broken by then.
        lab.write_config(text='{ broken')
        (edge,) = lab.postern_pids('postern-edge')
        os.kill(edge, signal.SIGKILL)
        wait_for('edge again', lambda: lab.ctl('status', check=False).returncode == 0 and lab.postern_pids('postern-edge') != {edge: 'postern-edge'}, 10)
        client = Client(lab.connect('web', RELAY))
        client.hello()
        client.say('MAIL FROM:<a@neulan.net>', '250')
        client.say('RCPT TO:<b@example.com>', '550')
        expect(lab.stop_postern() == 0, 'exit status after SIGTERM')
        expect(not os.path.exists(lab.path('control.sock')), 'the control socket was left behind')


def cpu_ticks(pids):
    total = 0
    for pid in pids:
        with open(f'/proc/{pid}/stat') as f:
            fields = f.read().rsplit(')', 1)[1].split()
        total += int(fields[11]) + int(fields[12])
    return total


def test_idle_costs_little():
    with Lab() as lab:
        lab.start_postern()
        time.sleep(4)
        pids, seconds = lab.postern_pids(), 5
        before = cpu_ticks(pids)
        time.sleep(seconds)
        share = (cpu_ticks(pids) - before) / os.sysconf('SC_CLK_TCK') / seconds
        print(f'      | idle: {100 * share:.1f} % of a core', flush=True)
        expect(share < 0.05, f'idle uses {100 * share:.1f} % of a core')


def sleeps(lab):
    return sum(w['sleeps'] for w in lab.ctl_json('status')['workers'])


def test_load_never_sleeps():
    """With as many workers as cores the clients starve between their turns, so only one worker is held to it."""
    with Lab() as lab:
        lab.start_postern()
        quiet = dict(stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lab.start('hop', 'smtp-sink', '-u', 'nobody', f'{HOP}:25', '100', **quiet)
        lab.start('web', 'smtp-source', '-d', '-s', '20', '-m', '1000000', '-l', '4096', '-f', 'a@neulan.net',
                  '-t', 'b@example.com', f'{RELAY}:25', **quiet)
        wait_for('mail to flow', lambda: lab.ctl_json('status')['spool']['committed'] > 50, 20)
        windows = []
        for _ in range(3):
            before, mails = sleeps(lab), lab.ctl_json('status')['spool']['committed']
            time.sleep(1.5)
            windows.append(sleeps(lab) - before)
            mails = lab.ctl_json('status')['spool']['committed'] - mails
            expect(mails > 20, 'mail stopped flowing')
        print(f'      | sleeps in three windows under load: {windows}; mails in the last: {mails}', flush=True)
        expect(0 in windows, f'an adaptive worker sleeps under load: {windows}')


def test_busy_never_sleeps():
    with Lab() as lab:
        sink = Sink(lab)
        lab.start_postern()
        lab.ctl('set', 'dataplane.poll', 'busy')
        time.sleep(0.1)
        first = sleeps(lab)
        session(lab, 'web', RELAY).send_mail('a@neulan.net', ['b@example.com'], BODY)
        expect(sleeps(lab) == first, 'a busy worker slept')
        wait_for('the mail', lambda: len(sink.mails) == 1)
