"""Mail by MX: postern-lookup asks a real name server, postern-deliver follows what it says, but not everywhere."""
import os
import time

from client import session
from lab import RELAY, Lab, expect, ip, wait_for
from sink import Sink

PATIENT = True
MX_HOST, BACKUP = '203.0.113.25', '203.0.113.26'
BODY = b'Subject: mx\r\n\r\nx\r\n'
ZONES = {
    'example.com': '''@ MX 10 mx1
@ MX 20 mx2
mx1 A 203.0.113.25
mx2 A 203.0.113.26
''',
    'plain.example': f'@ A {MX_HOST}\n',
    'null.example': '@ MX 0 .\n',
    'inside.example': '@ MX 10 mx\nmx A 10.12.170.30\n',
    'self.example': '@ MX 10 mx\nmx A 127.0.0.1\n',
}


def start_dns(lab):
    """nsd in the namespace of the next hop."""
    zones = ''
    for zone, records in ZONES.items():
        with open(lab.path(zone), 'w') as f:
            f.write(f'$ORIGIN {zone}.\n$TTL 60\n@ SOA ns hostmaster 1 60 60 60 60\n@ NS ns\nns A 10.12.170.30\n{records}')
        zones += f'zone:\n  name: {zone}\n  zonefile: {lab.path(zone)}\n'
    with open(lab.path('nsd.conf'), 'w') as f:
        f.write(f'server:\n  ip-address: 10.12.170.30\n  username: root\n  zonesdir: {lab.dir}\n  pidfile: {lab.path("nsd.pid")}\n'
                f'  database: ""\n  xfrdfile: {lab.path("xfrd")}\n  zonelistfile: {lab.path("zones")}\n  logfile: {lab.path("nsd.log")}\n'
                f'  xfrdir: {lab.dir}\nremote-control:\n  control-enable: no\n{zones}')
    return lab.start('hop', 'nsd', '-d', '-c', lab.path('nsd.conf'))


def by_mx(config):
    config['routes'] = [{'domains': ['inside.example'], 'to': 'mx', 'private': 'allow'}, {'domains': ['*'], 'to': 'mx'}, {'domains': ['named.example'], 'to': ['mx1.example.com:25']},
                        {'domains': ['neulan.net'], 'to': ['10.12.170.30:25']}]
    config['dns'] = {'servers': ['10.12.170.30']}


def mx_lab():
    return Lab(clients={'web': ('10.12.170.20', 'lan')}, configure=by_mx)


def prepare(lab):
    for address in MX_HOST, BACKUP:
        ip('addr', 'add', f'{address}/32', 'dev', 'eth0', netns=lab.space('hop'))
        ip('route', 'add', f'{address}/32', 'via', '10.12.170.30', netns=lab.space('net'))


def send(lab, *recipients):
    client = session(lab, 'web', RELAY)
    client.send_mail('maria@neulan.net', list(recipients), BODY)
    client.quit()


def test_mx_preference_fallback_and_refusals():
    with mx_lab() as lab:
        prepare(lab)
        start_dns(lab)
        first, backup, home = Sink(lab, address=MX_HOST), Sink(lab, address=BACKUP), Sink(lab)
        lab.start_postern()
        send(lab, 'a@example.com', 'b@example.com', 'c@plain.example', 'd@named.example')
        wait_for('mail at the best host', lambda: len(first.mails) == 3, 30)
        expect(sorted(map(tuple, (m.recipients for m in first.mails))) == [('a@example.com', 'b@example.com'), ('c@plain.example',), ('d@named.example',)],
               str([m.recipients for m in first.mails]))
        first.stop()
        send(lab, 'd@example.com')
        wait_for('mail at the second host', lambda: len(backup.mails) == 1, 40)
        send(lab, 'e@null.example')
        send(lab, 'f@nowhere.example')
        send(lab, 'g@self.example')
        send(lab, 'h@inside.example')
        wait_for('bounces and the inner mail', lambda: len(home.mails) >= 3, 40)
        texts = b''.join(m.data for m in home.mails)
        expect(b'556 5.1.10' in texts, 'null MX is no bounce')
        expect(b'550 5.4.4' in texts, 'loopback by a foreign zone is no bounce')
        expect([m for m in home.mails if m.recipients == ['h@inside.example']], 'private: allow does not allow')


def test_name_server_away_means_later():
    with mx_lab() as lab:
        prepare(lab)
        first, home = Sink(lab, address=MX_HOST), Sink(lab)
        lab.start_postern()
        send(lab, 'a@example.com')
        wait_for('a deferral', lambda: 'no answer' in str(lab.ctl_json('queue', 'list')), 60)
        expect(not home.mails, 'a bounce for a name server that is away')
        os.kill(next(iter(lab.postern_pids('postern-lookup'))), 9)
        start_dns(lab)
        time.sleep(1)
        lab.ctl('queue', 'retry', 'all', check=False)
        wait_for('the mail', lambda: len(first.mails) == 1, 60)
