"""Proofs on the running server: what they say is what clients see, and what a file or an oracle says."""
import json
import os
import subprocess

from client import session
from lab import BUILD, DEFAULT, RELAY, ROOT, Lab, expect
from sink import Sink


def relays(lab, short):
    client = session(lab, short, RELAY)
    client.say('MAIL FROM:<a@neulan.net>', '250')
    reply = client.say('RCPT TO:<b@far.example>')
    client.quit()
    return reply.startswith('250')


def test_proofs_say_what_clients_see():
    with Lab() as lab:
        Sink(lab)
        lab.start_postern()
        before = lab.ctl_json('who-can-relay')
        expect(before['relay']['ipv4'] == {'count': '257', 'prefixes': ['10.12.8.0/24', '10.12.170.20']}, str(before))
        expect(before['default']['ipv4']['count'] == '0' and before['relay']['epoch'] == 1, str(before))
        expect(relays(lab, 'web') and relays(lab, 'farm') and not relays(lab, 'vpn'), 'clients see something else')
        lab.vserver('relay')['relay']['only'] = ['10.12.170.20', '10.200.3.0/24']
        new = lab.write_config('new.yaml')
        os.chmod(new, 0o644)
        done = lab.ctl('--json', 'diff', new, check=False)
        change = json.loads(done.stdout)['relay']
        expect(done.returncode == 1 and change['gain']['ipv4']['prefixes'] == ['10.200.3.0/24'], done.stdout)
        expect(change['lose']['ipv4']['prefixes'] == ['10.12.8.0/24'], done.stdout)
        expect(relays(lab, 'farm') and not relays(lab, 'vpn'), 'diff changed something')
        lab.ctl('reload', new)
        expect(lab.ctl('diff', new, check=False).returncode == 0, 'a difference with what runs')
        expect(relays(lab, 'web') and relays(lab, 'vpn') and not relays(lab, 'farm'), 'clients see something else after the reload')
        offline = subprocess.run([f'{BUILD}/posternctl', '--config', new, '--json', 'who-can-connect'], capture_output=True, text=True)
        online = lab.ctl_json('who-can-connect')
        expect({name: v['ipv4'] for name, v in online.items()} == {name: v['ipv4'] for name, v in json.loads(offline.stdout).items()}, str(online))


def test_a_broken_guarantee_is_refused_and_changes_nothing():
    with Lab() as lab:
        lab.start_postern()
        lab.vserver('default')['relay'] = {'only': ['10.12.9.0/24']}
        new = lab.write_config('new.yaml')
        os.chmod(new, 0o644)
        done = lab.ctl('reload', new, check=False)
        expect(done.returncode == 1 and 'guarantee broken: clients of 10.12.9.0/24, 10.12.9.0 for one, may relay' in done.stderr, str(done))
        expect(lab.ctl_json('status')['epoch'] == 1 and lab.ctl_json('who-can-relay')['default']['ipv4']['count'] == '0', 'something changed')


def test_random_policies_in_the_running_server_agree_with_the_oracle():
    with Lab() as lab:
        lab.start_postern()
        config = json.loads(json.dumps(lab.config))
        for key in ('routes', 'own_networks', 'virtual_servers', 'guarantees'):
            config.pop(key, None)
        with open(lab.path('base.yaml'), 'w') as file:
            file.write(''.join(f'{key}: {json.dumps(value)}\n' for key, value in config.items()))
        pids = lab.postern_pids()
        done = subprocess.run(['python3', f'{ROOT}/tests/proof/agree.py', f'{BUILD}/posternctl', '--names', '--policies', '25', '--socket', lab.path('control.sock'),
                               '--base', lab.path('base.yaml'), '--listen', f'{DEFAULT},{RELAY}', '--logs', lab.path('log')], capture_output=True, text=True, timeout=300)
        expect(done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:])
        expect(lab.ctl_json('status')['epoch'] > 25 and lab.postern_pids() == pids, 'it was not the running server that was asked')
