"""postern-load: the load generator as operators use it, over kernel sockets and over DPDK."""
import json
import os

from lab import BUILD, RELAY, Lab, expect, wait_for
from sink import Sink

LOAD = os.path.join(BUILD, 'postern-load')


def load(lab, short, *words, check=True):
    done = lab.run(short, LOAD, '--to', f'{RELAY}:25', '--json', '--quiet', *words, check=check)
    return json.loads(done.stdout)


def test_kernel_sockets_hand_in_every_mail():
    with Lab() as lab:
        sink = Sink(lab)
        lab.start_postern()
        out = load(lab, 'web', '--count', '300', '--size', '1000*3,50000', '--pipelining')
        expect(out['mails'] == 300 and out['failed'] == 0, str(out))
        expect(out['latency']['mail']['count'] == 300, str(out['latency']))
        wait_for('all of them at the next hop', lambda: len(sink.mails) == 300, 30)
        late = load(lab, 'web', '--rate', '50', '--seconds', '2', '--connections', '5')
        expect(90 <= late['mails'] <= 101, f'50 a second for 2 s make {late["mails"]}')
        done = lab.run('vpn', LOAD, '--to', f'{RELAY}:25', '--count', '10', '--json', '--quiet', check=False)
        expect(done.returncode == 1 and json.loads(done.stdout)['replies'].get('550', 0) > 0, done.stdout)
        refused = load(lab, 'internet', '--kind', 'refused', '--count', '50')
        expect(refused['refused'] >= 50, str(refused))


def on_memif(config):
    config['ports'][0]['device'] = 'net_memif0,role=server,id=0,socket=@postern-load-test'


def test_dpdk_memif_drives_the_server_natively():
    device = 'net_memif0,role=client,id=0,socket=@postern-load-test'
    common = ['--device', device, '--sources', '10.12.8.0/24', '--router', '10.12.170.1']
    with Lab(configure=on_memif) as lab:
        sink = Sink(lab)
        lab.start_postern()
        out = load(lab, 'srv', *common, '--count', '500', '--connections', '50')
        expect(out['mails'] == 500 and out['failed'] == 0, str(out))
        wait_for('all of them at the next hop', lambda: len(sink.mails) == 500, 30)
        out = load(lab, 'srv', *common, '--kind', 'sessions', '--seconds', '1')
        expect(out['sessions'] > 100, str(out))
        out = load(lab, 'srv', *common, '--kind', 'idle', '--connections', '500', '--seconds', '2')
        expect(out['open_most'] == 500, str(out))
        foreign = ['--device', device, '--sources', '198.51.100.0/24', '--router', '10.12.170.1']
        out = load(lab, 'srv', *foreign, '--kind', 'refused', '--count', '1000')
        expect(out['refused'] >= 1000, str(out))
        out = load(lab, 'srv', *common, '--kind', 'syn-flood', '--seconds', '1')
        expect(out['syns'] > 10000, str(out))
        wait_for('every packet to have its reason', lambda: lab.ctl_json('status')['packets']['unaccounted'] == 0)


def test_usage():
    with Lab(clients={}) as lab:
        done = lab.run('srv', LOAD, '--help')
        expect('--rate' in done.stdout and done.returncode == 0, done.stdout)
        for words in ([], ['--to', '1.2.3.4', '--kind', 'x'], ['--to', '1.2.3.4', '--size', '1'], ['--to', '1.2.3.4', '--kind', 'syn-flood'],
                      ['--to', 'nowhere'], ['--to', '1.2.3.4', '--sources', '2001:db8::1']):
            done = lab.run('srv', LOAD, *words, check=False)
            expect(done.returncode == 2 and done.stderr, f'{words}: {done.returncode} {done.stderr}')
