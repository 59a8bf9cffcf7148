"""What an operator sees of ports: size limits, links that go and come, who steers."""
from client import message, session
from lab import BUILD, DEFAULT, RELAY, Lab, expect, wait_for
from sink import Sink


def test_mtu_that_the_port_does_not_take_is_refused():
    def large(config):
        config['ports'][0]['mtu'] = 9000
    with Lab(configure=large) as lab:
        said_in = open(lab.path('posternd.err'), 'wb')
        lab.start('srv', f'{BUILD}/posternd', '--config', lab.path('postern.yaml'), stdout=said_in, stderr=said_in)
        said_in.close()

        def said():
            with open(lab.path('posternd.err'), errors='replace') as f:
                return 'takes packets of at most 1500 octets, and ports[].mtu is 9000: lower it' in f.read()
        wait_for('the refusal', said, 30)


def test_smaller_mtu_is_kept_in_both_directions():
    def small(config):
        config['ports'][0]['mtu'] = 1000
    with Lab(configure=small) as lab:
        sink = Sink(lab)
        lab.start_postern()
        client = session(lab, 'web', RELAY)
        body = message(300000, 'small')
        client.send_mail('a@neulan.net', ['bob@example.com'], body)
        client.quit()
        wait_for('the mail', lambda: sink.mails, 20)
        expect(lab.ctl_json('status')['ports'][0]['mtu'] == 1000, 'status shows another MTU')


def test_link_that_goes_and_comes_is_counted_and_said():
    with Lab(device='tap', clients={}) as lab:
        lab.start_postern()

        def port():
            return lab.ctl_json('status')['ports'][0]
        wait_for('link up', lambda: port()['link'] == 'up')
        before = port()['link_changes']
        lab.run('srv', 'ip', 'link', 'set', 'edge0', 'down')
        wait_for('link down', lambda: port()['link'] == 'down')
        lab.run('srv', 'ip', 'link', 'set', 'edge0', 'up')
        wait_for('link up again', lambda: port()['link'] == 'up')
        expect(port()['link_changes'] == before + 2, f'{port()}')
        with open(lab.path('posternd.err'), errors='replace') as f:
            expect('link is down' in f.read(), 'nothing was said of the link')


def test_own_workers_on_a_port_without_rules_are_steered_in_software():
    def own(config):
        for number, vserver in enumerate(config['virtual_servers']):
            vserver['workers'] = [number]
    with Lab(workers=(0, 1), configure=own) as lab:
        sink = Sink(lab)
        lab.start_postern()
        for short, address, to in (('web', RELAY, 'bob@example.com'), ('internet', DEFAULT, 'steven@neulan.net')):
            client = session(lab, short, address)
            client.send_mail('a@neulan.net', [to], message(3000, short))
            client.quit()
        wait_for('both mails', lambda: len(sink.mails) == 2, 20)
        status = lab.ctl_json('status')
        expect((status['steering'], status['isolation']) == ('software', 'partial'), f'{status["steering"]} {status["isolation"]}')
        expect(status['vservers']['relay']['steering'] == 'software', f'{status["vservers"]["relay"]}')
        expect(status['workers'][1]['connections'] + status['workers'][1]['steered_in'] > 0, 'worker 1 got nothing')
        report = lab.ctl_json('steering')['ports'][0]
        expect(report['nic'] == 'af_packet' and report['state'] == 'no rules in this port', f'{report}')
        rules = lab.ctl_json('steering', '--nic', 'ice')['ports'][0]['rules']
        expect(any(f'dst is {RELAY} / end actions queue index 1' in r['text'] for r in rules), f'{rules}')
