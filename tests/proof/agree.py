#!/usr/bin/env python3
"""usage: agree.py POSTERNCTL [--policies N] [--seed S] [--names] [--socket S --base FILE --listen A,B --logs DIR]

Random policies and random questions: posternctl and the oracle must say the same. Prints the policy of a disagreement and
exits 1. With --socket the running server is asked: each policy is loaded into it, behind the keys of the base file.
"""
import argparse
import copy
import ipaddress
import json
import os
import random
import subprocess
import sys
import tempfile

import oracle

parser = argparse.ArgumentParser()
parser.add_argument('posternctl')
parser.add_argument('--policies', type=int, default=40)
parser.add_argument('--questions', type=int, default=4)
parser.add_argument('--seed', type=int, default=1)
parser.add_argument('--names', action='store_true', help='lists have names of hosts as well')
parser.add_argument('--socket')
parser.add_argument('--base')
parser.add_argument('--logs')
parser.add_argument('--listen', default='10.12.170.1,10.12.170.2')
options = parser.parse_args()
LISTEN = options.listen.split(',')
BASE = open(options.base).read() if options.base else ('ports: [{device: net_null0, addresses: [10.12.170.1/24, 10.12.170.2/24]}]\n'
                                                       'spool: /var/spool/postern\n')

DOMAINS = ['example.net', '.example.net', 'a.example.net', 'sub.a.example.net', 'example.org', '.a.example.net', 'org-x.example']
RECIPIENTS = ['u@example.net', 'u@a.example.net', 'u@sub.a.example.net', 'U@EXAMPLE.net', 'u@far.example', 'u@notexample.net', 'postmaster',
              'u@far.example.', 'u@example.org', 'u%far.example@example.net', 'far.example!u@example.net', '@example.net:u@far.example',
              '"u@far.example"@example.net', 'u@far.example@example.net', 'u@[10.1.2.3]', 'u@[IPv6:2001:db8::1]', 'Postmaster']


NAMES = ['host.example.net', 'Web.example.net', '.example.net', '.lan.example.net', r'/web[0-9]+\.example\.net/', r'/(a|b)\.lan\.example\.net/',
         'other.example.org']
CLIENT_NAMES = [None, None, oracle.UNKNOWN, 'host.example.net', 'web.example.net', 'WEB.example.net', 'web1.example.net', 'web.1.example.net',
                'a.lan.example.net', 'lan.example.net', 'example.net', 'notexample.net', 'other.example.org', 'x.other.example.org']


class Disagreement(Exception):
    pass


# --- random policies

def random_v4(rng):
    style = rng.randrange(4)
    if style == 0:
        length, base = rng.randrange(0, 33), rng.getrandbits(32)
    elif style == 1:
        length, base = rng.randrange(16, 33), (10 << 24) | (rng.getrandbits(2) << 16) | rng.getrandbits(16)
    else:
        length, base = rng.randrange(28, 33), (10 << 24) | rng.getrandbits(6)
    return str(ipaddress.ip_network((base, length), strict=False))


def random_v6(rng):
    style = rng.randrange(4)
    if style == 0:
        length, base = rng.randrange(0, 129), rng.getrandbits(128)
    elif style == 1:
        length, base = rng.randrange(30, 129), (0x20010db8 << 96) | rng.getrandbits(96)
    else:
        length, base = rng.randrange(120, 129), (0x20010db8 << 96) | rng.getrandbits(8)
    net = ipaddress.ip_network((base, length), strict=False)
    # What lies in the mapped block is IPv4, and an operator is told to write it so.
    return str(net) if length < 96 or not net.overlaps(ipaddress.ip_network('::ffff:0:0/96')) else '2001:db8::/32'


def random_entries(rng, most):
    entries = [random_v6(rng) if rng.random() < 0.3 else random_v4(rng) for _ in range(rng.randrange(most + 1))]
    if options.names and rng.random() < 0.4:
        entries += rng.sample(NAMES, rng.randrange(1, 4))
    rng.shuffle(entries)
    return list(dict.fromkeys(entries))


def random_rule(rng):
    mode = rng.choice([None, 'only', 'only', 'all_except'])
    return None if mode is None else (mode, random_entries(rng, 6))


def random_vserver(rng, name):
    domains = rng.sample(DOMAINS, rng.randrange(4)) + (['*'] if rng.random() < 0.05 else [])
    cut = rng.randrange(len(domains) + 1)
    return {'name': name, 'local_domains': domains[:cut], 'relay_domains': domains[cut:], 'connections': random_rule(rng),
            'relay': random_rule(rng), 'open_relay': '*' in domains or rng.random() < 0.7}


def random_policy(rng):
    own = [str(ipaddress.ip_network((base, length), strict=False)) for base, length in
           ((10 << 24, rng.randrange(8, 14)), ((10 << 24) | rng.getrandbits(24), rng.randrange(12, 33)))]
    return {'own_networks': list(dict.fromkeys(own + ['2001:db8::/32'])), 'vservers': [random_vserver(rng, name) for name in 'ab']}


# --- as a file

def quoted(entries):
    return '[' + ', '.join(json.dumps(entry) for entry in entries) + ']'


def vserver_text(vserver, number):
    lines = [f'  - name: {vserver["name"]}', f'    listen: [{LISTEN[number]}]', '    fqdn: mail.example.net',
             f'    local_domains: {quoted(vserver["local_domains"])}', f'    relay_domains: {quoted(vserver["relay_domains"])}']
    for key in ('connections', 'relay'):
        if vserver[key]:
            mode, entries = vserver[key]
            lines += [f'    {key}:', f'      {mode}: {quoted(entries)}']
    if options.logs:
        lines.append(f'    log: {{file: {options.logs}/{vserver["name"]}.log}}')
    if vserver['open_relay']:
        lines.append('    open_relay: i-understand')
    return '\n'.join(lines) + '\n'


def policy_text(policy):
    return (BASE + 'routes: [{domains: ["*"], to: ["10.12.170.30:25"]}]\n'
            f'own_networks: {quoted(policy["own_networks"])}\nvirtual_servers:\n'
            + ''.join(vserver_text(v, i) for i, v in enumerate(policy['vservers'])) + policy.get('more', ''))


def write(policy, path):
    with open(path, 'w') as file:
        file.write(policy_text(policy))


def call(*words):
    done = subprocess.run([options.posternctl, '--json', *words], capture_output=True, text=True, timeout=60)
    try:
        return done.returncode, json.loads(done.stdout)
    except ValueError:
        raise Disagreement(f'{words}: no JSON: {done.stdout[:200]} {done.stderr[:200]}')


running = None


def ctl(path, *words):
    """Ask the file, or the running server once it runs what the file says."""
    global running
    if not options.socket or words[0] == 'check':
        return call('--config', path, *words)
    text = open(path).read()
    if text != running:
        code, said = call('--socket', options.socket, 'reload', path)
        expect(code == 0, 'reload:', json.dumps(said))
        running = text
    return call('--socket', options.socket, *words)


def expect(condition, *what):
    if not condition:
        raise Disagreement(' '.join(str(w) for w in what))


# --- the questions

def same_set(said, ranges, version, what):
    prefixes = said['prefixes']
    nets = [ipaddress.ip_network(p) for p in prefixes]
    expect(oracle.ranges_of(prefixes, version) == ranges, what, 'is', prefixes, 'and should be', ranges)
    expect(said['count'] == str(sum(net.num_addresses for net in nets)), what, 'count', said['count'])
    expect(nets == sorted(nets), what, 'is not in order')
    expect(len(list(ipaddress.collapse_addresses(nets))) == len(nets), what, 'could have fewer prefixes:', prefixes)


def ask_who_can(policy, path):
    for right in ('relay', 'connect'):
        code, said = ctl(path, f'who-can-{right}')
        expect(code == 0 and sorted(said) == sorted(v['name'] for v in policy['vservers']), right, said)
        for vserver in policy['vservers']:
            for version in (4, 6):
                same_set(said[vserver['name']][f'ipv{version}'], oracle.who_can(vserver, right, version), version,
                         f'{vserver["name"]}: who-can-{right} ipv{version}')
            expect(said[vserver['name']]['names'] == oracle.names_that_can(vserver, right), vserver['name'], right, 'names', said[vserver['name']]['names'])


def ask_diff(old, new, path, new_path):
    code, said = ctl(path, 'diff', new_path)
    differ = False
    names = {v['name'] for p in (old, new) for v in p['vservers']}
    find = lambda policy, name: next((v for v in policy['vservers'] if v['name'] == name), None)
    empty = {'names': [], **{f'ipv{version}': {'count': '0', 'prefixes': []} for version in (4, 6)}}
    named = lambda v, right: set(oracle.names_that_can(v, right)) if v else set()
    for name in sorted(names):
        a, b = find(old, name), find(new, name)
        takes = [set(v['local_domains'] + v['relay_domains']) if v else set() for v in (a, b)]
        of_name = said.get(name, {'gain': empty, 'lose': empty, 'connect': {'gain': empty, 'lose': empty}, 'domains': {'gain': [], 'lose': []}})
        expect(set(of_name['domains']['gain']) == takes[1] - takes[0] and set(of_name['domains']['lose']) == takes[0] - takes[1], name, 'domains')
        differ = differ or not a or not b or takes[0] != takes[1]
        for right, part in (('relay', of_name), ('connect', of_name['connect'])):
            for side, one, other in (('gain', b, a), ('lose', a, b)):
                texts = named(one, right) - named(other, right)
                differ = differ or bool(texts)
                expect(set(part[side]['names']) == texts, name, side, 'of', right, 'names', part[side]['names'])
                for version in (4, 6):
                    ranges = oracle.less(one, other, right, version)
                    differ = differ or bool(ranges)
                    same_set(part[side][f'ipv{version}'], ranges, version, f'{name}: {side} of {right} ipv{version}')
    expect(code == (1 if differ else 0), 'diff exits', code, 'and they differ:', differ)


def random_client(rng, vserver):
    entries = [entry for entry in oracle.entries_of(vserver) if not oracle.is_name(entry)]
    if entries and rng.random() < 0.8:
        net = ipaddress.ip_network(rng.choice(entries))
        number = rng.choice([int(net[0]), int(net[-1]), int(net[0]) - 1, int(net[-1]) + 1, rng.randint(int(net[0]), int(net[-1]))])
        number %= 1 << net.max_prefixlen
        return str(oracle.number_to_address(net.version, number))
    return random_v4(rng).split('/')[0]


LISTS = {'relay_domains': 'relay_domains', 'local_domains': 'local_domains'}


def changed(policy, change):
    """The policy after a change that explain named."""
    new = copy.deepcopy(policy)
    _, name, key = change['list'].split('.', 2)
    vserver = next(v for v in new['vservers'] if v['name'] == name)
    if key in LISTS:
        entries = vserver[key]
    else:
        key, mode = key.split('.')
        if vserver[key] is None:
            vserver[key] = (mode, [])
        expect(vserver[key][0] == mode, 'a change of mode:', change)
        entries = vserver[key][1]
    if change['action'] == 'add':
        entries.append(change['entry'])
    else:
        expect(change['entry'] in entries, 'removes what is not there:', change)
        entries.remove(change['entry'])
    return new, vserver


def every_change(policy, vserver, client, recipient):
    """All single entries there are to remove, and those to add that speak of this client and this domain."""
    path = f'virtual_servers.{vserver["name"]}.'
    domain = oracle.recipient_form(recipient) if recipient else None
    for key, fresh in (('connections', 'all_except'), ('relay', 'only')):
        mode, entries = vserver[key] or (fresh, [])
        yield from ({'action': 'remove', 'list': f'{path}{key}.{mode}', 'entry': entry} for entry in entries)
        yield {'action': 'add', 'list': f'{path}{key}.{mode}', 'entry': str(oracle.address_of(client))}
    for key in LISTS:
        yield from ({'action': 'remove', 'list': path + key, 'entry': entry} for entry in vserver[key])
        if domain:
            yield {'action': 'add', 'list': path + key, 'entry': domain}


def short(change):
    return change['action'], change['list'], change['entry']


def ask_explain(rng, policy, path):
    vserver = rng.choice(policy['vservers'])
    client, name = random_client(rng, vserver), rng.choice(CLIENT_NAMES) if options.names else None
    recipient = rng.choice([None] + RECIPIENTS)
    words = ['explain', '--vserver', vserver['name'], '--client', client] + (['--recipient', recipient] if recipient else [])
    words += ['--name', name] if name else []
    decide = lambda v: oracle.decide(v, client, recipient, name and name.lower())
    code, said = ctl(path, *words)
    verdict, stage = decide(vserver)
    expect((said['verdict'], said['stage']) == (verdict, stage), words, 'explain says', said['verdict'], said['stage'], 'oracle', verdict, stage)
    expect(code == (0 if verdict == 'accept' else 1), words, 'exit', code)
    named = {short(change) for change in said['would_change']}
    expect(len(named) == len(said['would_change']), words, 'a change is named twice')
    for change in said['would_change']:
        _, new_vserver = changed(policy, change)
        after = decide(new_vserver)
        expect(after[0] != verdict or (stage == 'connect' and after[1] != 'connect'), words, 'would not change:', change)
    for change in every_change(policy, vserver, client, recipient):
        _, new_vserver = changed(policy, change)
        # From refuse to defer and back is no more than another way to say no.
        if (decide(new_vserver)[0] == 'accept') != (verdict == 'accept'):
            expect(short(change) in named, words, verdict, 'would change as well:', change, 'named are', sorted(named))


def one_policy(rng, directory):
    policy, other = random_policy(rng), random_policy(rng)
    path, other_path = os.path.join(directory, 'policy.yaml'), os.path.join(directory, 'other.yaml')
    write(policy, path)
    code, said = ctl(path, 'check')
    refused = oracle.is_refused(policy)
    expect(code == (1 if refused else 0), 'check exits', code, 'and the guard should refuse:', refused, json.dumps(said))
    for vserver in policy['vservers'] + other['vservers']:
        vserver['open_relay'] = True
    other['vservers'] = rng.sample(other['vservers'], rng.randrange(1, 3))
    if rng.random() < 0.3:  # alike but for one list
        other = copy.deepcopy(policy)
        other['vservers'][0]['relay'] = random_rule(rng)
    write(policy, path)
    write(other, other_path)
    try:
        ask_who_can(policy, path)
        ask_diff(policy, other, path, other_path)
        for _ in range(options.questions):
            ask_explain(rng, policy, path)
    except Disagreement:
        print(policy_text(policy))
        raise
    return refused


def main():
    refused = 0
    with tempfile.TemporaryDirectory() as directory:
        os.chmod(directory, 0o755)  # the server reads as its own user
        for number in range(options.policies):
            rng = random.Random(options.seed * 1000003 + number)
            try:
                refused += one_policy(rng, directory)
            except Disagreement as why:
                print(f'policy {number} of seed {options.seed}: {why}')
                return 1
    print(f'{options.policies} policies ({refused} refused by the guard), {options.policies * (4 + options.questions)} questions: all agree')
    return 0


sys.exit(main())
