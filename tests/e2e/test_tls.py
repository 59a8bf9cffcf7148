"""TLS with real clients: STARTTLS, port 465, mail octet for octet, what was said in the clear, reloads of certificates."""
import os
import shutil
import socket
import ssl
import subprocess
import time

from client import Client, message, session
from lab import BUILD, DEFAULT, RELAY, Failed, Lab, expect, wait_for
from sink import Sink

TEXT = 'Subject: one\r\n\r\nline one\r\n.dot\r\nlast\r\n'
NAME = 'smtp-relay.neulan.net'


def certify(directory, name, days=30, key='ec'):
    """A certificate that signs itself: NAME.pem and NAME.key, the key root's alone."""
    kind = {'ec': ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'], 'rsa': ['-newkey', 'rsa:2048']}[key]
    pem, secret = os.path.join(directory, f'{name}.pem'), os.path.join(directory, f'{name}.key')
    subprocess.run(['openssl', 'req', '-x509', *kind, '-nodes', '-keyout', secret, '-out', pem, '-days', str(days), '-subj',
                    f'/CN={NAME}', '-addext', f'subjectAltName=DNS:{NAME},IP:{RELAY}'], check=True, capture_output=True)
    os.chmod(secret, 0o600)
    return pem, secret


class TlsLab(Lab):
    """Both virtual servers have a certificate, named relative to the configuration; relay listens on 25, 465 and 587."""

    def __enter__(self):
        super().__enter__()
        for name in ('default', 'relay'):
            certify(self.dir, name, key='rsa' if name == 'default' else 'ec')
        for v in self.config['virtual_servers']:
            v['tls'] = {'certificate': f'{v["name"]}.pem', 'key': f'{v["name"]}.key'}
        self.config['virtual_servers'][1]['listen'] += [f'{RELAY}:465', f'{RELAY}:587']
        self.write_config()
        return self


def context(lab, name='relay', **more):
    made = ssl.create_default_context(cafile=lab.path(f'{name}.pem'))
    made.check_hostname = False
    for key, value in more.items():
        setattr(made, key, value)
    return made


def start_tls(lab, client, name='relay', **more):
    client.say('STARTTLS', '220 2.0.0')
    client.sock = context(lab, name, **more).wrap_socket(client.sock)
    return client


def tls_client(lab, where='web', server=RELAY, name='relay', **more):
    client = Client(lab.connect(where, server))
    expect('STARTTLS' in client.hello(), 'STARTTLS is not offered')
    start_tls(lab, client, name, **more)
    expect('STARTTLS' not in client.say('EHLO client.example.org', '250'), 'STARTTLS is offered inside of TLS')
    return client


def sent_by(function):
    with TlsLab() as lab:
        sink = Sink(lab)
        lab.start_postern()
        function(lab)
        (mail,) = sink.settled(1)
        expect(mail.recipients == ['bob@example.com'], f'recipients {mail.recipients}')
        expect(mail.body_from(b'Subject: one').startswith(TEXT.encode()), f'{mail.data!r}')
        expect(b'with ESMTPS id' in mail.data and b'(using TLSv1.' in mail.data, f'Received: {mail.data[:400]!r}')
        return mail


def test_swaks_over_starttls():
    sent_by(lambda lab: lab.run('web', 'swaks', '--server', RELAY, '--tls', '--from', 'form@neulan.net', '--to',
                                'bob@example.com', '--data', 'Subject: one\\n\\nline one\\n.dot\\nlast'))


def test_curl_requires_tls():
    sent_by(lambda lab: lab.run('web', 'curl', '-sS', '--ssl-reqd', '--cacert', lab.path('relay.pem'), f'smtp://{RELAY}',
                                '--mail-from', 'form@neulan.net', '--mail-rcpt', 'bob@example.com', '-T', '-', input=TEXT))


def test_curl_on_port_465():
    sent_by(lambda lab: lab.run('web', 'curl', '-sS', '--cacert', lab.path('relay.pem'), f'smtps://{RELAY}:465', '--mail-from',
                                'form@neulan.net', '--mail-rcpt', 'bob@example.com', '-T', '-', input=TEXT))


def test_msmtp_on_port_587():
    sent_by(lambda lab: lab.run('web', 'msmtp', f'--host={RELAY}', '--port=587', '--from=form@neulan.net', '--auth=off', '--tls=on',
                                f'--tls-trust-file={lab.path("relay.pem")}', 'bob@example.com',
                                input=TEXT.replace('\r\n', '\n')))


def test_s_client_typed_by_hand():
    def typed(lab):
        lines = ['EHLO me', 'MAIL FROM:<form@neulan.net>', 'RCPT TO:<bob@example.com>', 'DATA', *stuffed(), '.', 'QUIT']
        client = subprocess.Popen(['ip', 'netns', 'exec', lab.space('web'), 'openssl', 's_client', '-quiet', '-crlf', '-starttls',
                                   'smtp', '-tls1_2', '-connect', f'{RELAY}:25'], stdin=subprocess.PIPE,
                                  stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in lines:
            client.stdin.write(line.replace('RCPT', 'rcpt') + '\n')  # R alone would ask for renegotiation
            client.stdin.flush()
            time.sleep(0.1)
        out, _ = client.communicate(timeout=20)
        expect('221 2.0.0' in out, out)

    def stuffed():
        return [('.' + line if line.startswith('.') else line) for line in TEXT.split('\r\n')[:-1]]
    sent_by(typed)


def test_all_sizes_arrive_octet_for_octet():
    with TlsLab() as lab:
        sink = Sink(lab)
        lab.start_postern()
        sent = []
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            client = tls_client(lab, maximum_version=version)
            for size in (1, 100, 16383, 16384, 16385, 100_000, 3_000_000):
                sent.append(message(size, len(sent)))
                client.send_mail('form@neulan.net', ['bob@example.com'], sent[-1])
            client.say('QUIT', '221')
            expect(client.closed(), 'no close_notify after 221')
        mails = sink.settled(len(sent))
        for number, want in enumerate(sent):
            expect(sum(m.data.endswith(want) for m in mails) == 1, f'mail {number} of {len(want)} octets')


def test_what_is_said_before_tls_is_not_heard_inside():
    """RFC 3207 and CVE-2011-0411: commands behind STARTTLS in one segment are refused, and TLS never begins."""
    with TlsLab() as lab:
        sink = Sink(lab)
        lab.start_postern()
        client = Client(lab.connect('web', RELAY))
        client.hello()
        client.sock.sendall(b'STARTTLS\r\nMAIL FROM:<form@neulan.net>\r\nRCPT TO:<bob@example.com>\r\n')
        expect(client.reply().startswith('554 5.5.1'), str(client.dialogue))
        expect(client.closed(), 'still open')
        # MAIL in the clear does not survive STARTTLS either, nor does the name of EHLO.
        client = tls_client_after_mail(lab)
        expect(client.say('RCPT TO:<bob@example.com>').startswith('503'), str(client.dialogue))
        # Commands where a ClientHello should be.
        client = Client(lab.connect('web', RELAY))
        client.hello()
        client.say('STARTTLS', '220')
        client.sock.sendall(b'EHLO x\r\nMAIL FROM:<form@neulan.net>\r\n' * 20)
        rest = b''
        while part := receive(client.sock):
            rest += part
        expect(b'250' not in rest, f'{rest!r}')
        status = lab.ctl_json('status')['vservers']['relay']
        expect(status['tls_early'] == 1 and status['tls_failed'] == 1, str(status))
        expect(not sink.mails, 'mail came out of it')


def receive(sock):
    try:
        return sock.recv(4096)
    except ConnectionResetError:
        return b''


def tls_client_after_mail(lab):
    client = Client(lab.connect('web', RELAY))
    client.hello()
    client.say('MAIL FROM:<form@neulan.net>', '250')
    expect(client.say('STARTTLS').startswith('503'), 'STARTTLS inside a transaction')
    client.say('RSET', '250')
    start_tls(lab, client)
    expect(client.say('MAIL FROM:<form@neulan.net>').startswith('503'), 'MAIL without EHLO')
    client.say('EHLO me', '250')
    return client


def test_ticket_of_one_virtual_server_is_nothing_to_another():
    with TlsLab() as lab:
        lab.start_postern()
        shutil.copy(lab.path('relay.pem'), lab.path('both.pem'))
        with open(lab.path('both.pem'), 'a') as both, open(lab.path('default.pem')) as other:
            both.write(other.read())
        made = context(lab, 'both', maximum_version=ssl.TLSVersion.TLSv1_2)

        def meet(server, ticket):
            client = Client(lab.connect('web', server))
            client.hello()
            client.say('STARTTLS', '220')
            client.sock = made.wrap_socket(client.sock, session=ticket)
            client.say('EHLO me', '250')
            found = client.sock.session, client.sock.session_reused
            client.say('QUIT', '221')
            return found
        ticket, reused = meet(RELAY, None)
        expect(not reused, 'resumed from nothing')
        expect(meet(RELAY, ticket)[1], 'not resumed')
        expect(not meet(DEFAULT, ticket)[1], 'resumed at another virtual server')
        expect(lab.ctl_json('status')['vservers']['relay']['tls_resumed'] == 1, 'tls_resumed')


def fingerprint(client):
    return client.sock.getpeercert(binary_form=True)


def test_reload_takes_new_certificates_and_keeps_sessions():
    with TlsLab() as lab:
        sink = Sink(lab)
        lab.start_postern()
        old = tls_client(lab)
        before = fingerprint(old)
        certify(lab.dir, 'relay')
        old.say('MAIL FROM:<form@neulan.net>', '250')
        lab.posternd.send_signal(1)
        wait_for('the new certificate', lambda: fingerprint(tls_client(lab, verify_mode=ssl.CERT_NONE)) != before)
        old.say('RCPT TO:<bob@example.com>', '250')
        old.say('DATA', '354')
        old.send_data(message(500))
        sink.settled(1)


def test_broken_certificates_are_refused_at_their_line():
    with TlsLab() as lab:
        lab.start_postern()
        epoch = lab.ctl_json('status')['epoch']
        shutil.copy(lab.path('default.key'), lab.path('relay.key'))
        done = subprocess.run([os.path.join(BUILD, 'posternd'), '--config', lab.path('postern.yaml'), '--check'],
                              capture_output=True, text=True)
        expect(done.returncode == 1 and 'is not the key of the certificate' in done.stdout, done.stdout)
        lab.posternd.send_signal(1)
        wait_for('the refusal', lambda: 'is not the key of the certificate' in open(lab.path('posternd.err')).read())
        expect(lab.ctl_json('status')['epoch'] == epoch, 'the epoch moved')
        tls_client(lab).say('QUIT', '221')


def test_killed_edge_comes_back_with_the_certificates_it_had():
    """Whatever became of the files since: what was accepted is kept by posternd."""
    with TlsLab() as lab:
        lab.start_postern()
        before = fingerprint(tls_client(lab))
        os.remove(lab.path('relay.key'))
        (pid,) = lab.postern_pids('postern-edge')
        os.kill(pid, 9)

        def again():
            try:
                return fingerprint(tls_client(lab))
            except (OSError, Failed):
                return None
        expect(wait_for('edge again', again) == before, 'another certificate')


def test_garbage_and_silence_harm_nobody():
    with TlsLab() as lab:
        lab.start_postern()
        good = tls_client(lab)
        for junk in (b'\x16\x03\x01\x40\x00' + bytes(16384), b'\x80\x2e\x01\x00\x02', os.urandom(3000), b'GET / HTTP/1.0\r\n\r\n',
                     b'\x16\x03\x01\x00\x00' * 100, b'\x15\x03\x03\x00\x02\x02\x28'):
            for port in (465, 25):
                client = Client(lab.connect('web', RELAY, port))
                if port == 25:
                    client.hello()
                    client.say('STARTTLS', '220')
                client.sock.sendall(junk)
                client.sock.settimeout(1)
                try:
                    while receive(client.sock):
                        pass
                except socket.timeout:
                    pass
                client.sock.close()
        silent = [lab.connect('web', RELAY, 465) for _ in range(8)]
        good.say('NOOP', '250')
        tls_client(lab).say('QUIT', '221')
        session(lab, 'web', RELAY).quit()
        for s in silent:
            s.close()
        status = lab.ctl_json('status')
        expect(status['packets']['unaccounted'] == 0, str(status['packets']))
        expect(status['vservers']['relay']['tls_failed'] >= 8, str(status['vservers']['relay']))
