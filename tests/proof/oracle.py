"""A second, slow opinion on who may connect and who may relay, written from the product's specification alone.

It shares no code and no idea with the product: a policy is plain Python data, a list is asked entry by entry, and a set of addresses
is found by asking for one address of each stretch in which no entry begins or ends.

    policy = {'own_networks': [prefix...], 'vservers': [vserver...]}
    vserver = {'name', 'local_domains': [...], 'relay_domains': [...], 'connections': rule, 'relay': rule, 'open_relay': bool}
    rule = None | ('only' | 'all_except', [prefix...])        prefixes are texts
"""
import ipaddress
import re

ACCEPT, REFUSE = 'accept', 'refuse'
FOREIGN = 'nobody-has-this.oracle.invalid'


def network(text):
    return ipaddress.ip_network(text)


def holds(entry, address):
    net = network(entry)
    return net.version == address.version and address in net


def listed(entries, address):
    return any(holds(entry, address) for entry in entries)


def let_in(rule, address, unwritten):
    """What a list says of a client that has no name."""
    if rule is None:
        return unwritten
    mode, entries = rule
    return listed(entries, address) if mode == 'only' else not listed(entries, address)


def may_connect(vserver, address):
    return let_in(vserver['connections'], address, True)


def in_relay_list(vserver, address):
    return let_in(vserver['relay'], address, False)


def takes_domain(domains, name):
    for domain in domains:
        if domain == '*' or domain == name or (domain.startswith('.') and name.endswith(domain) and name != domain):
            return True
    return False


def address_of(text):
    address = ipaddress.ip_address(text)
    mapped = getattr(address, 'ipv4_mapped', None)
    return mapped or address


ATOM = r"[A-Za-z0-9#$&'*+/=?^_`{|}~-]+"


def recipient_form(recipient):
    """The domain that is judged, '' for postmaster; None: a form that could be routed twice, or no address."""
    if recipient.lower() == 'postmaster':
        return ''
    match = re.fullmatch(rf'({ATOM}(?:\.{ATOM})*)@([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*)', recipient)
    return match.group(2).lower() if match else None


def decide(vserver, client, recipient=None):
    """(verdict, stage) of a client without login, TLS or name."""
    address = address_of(client)
    if not may_connect(vserver, address):
        return REFUSE, 'connect'
    if recipient is None:
        return ACCEPT, 'connect'
    domain = recipient_form(recipient)
    if domain is None:
        return REFUSE, 'rcpt'
    if domain == '' or takes_domain(vserver['local_domains'] + vserver['relay_domains'], domain):
        return ACCEPT, 'rcpt'
    return (ACCEPT if in_relay_list(vserver, address) else REFUSE), 'rcpt'


# --- sets, as sorted lists of (first, last) for one family

BITS = {4: 32, 6: 128}
MAPPED = (0xffff << 32, (0xffff << 32) | 0xffffffff)  # written as IPv6, meant as IPv4


def stretches(version, entries):
    """First addresses of stretches in which all entries agree."""
    cuts = {0}
    for entry in entries:
        net = network(entry)
        if net.version == version:
            cuts.add(int(net[0]))
            cuts.add(int(net[-1]) + 1)
    if version == 6:
        cuts.update((MAPPED[0], MAPPED[1] + 1))
    cuts.discard(1 << BITS[version])
    return sorted(cuts)


def number_to_address(version, number):
    return ipaddress.IPv4Address(number) if version == 4 else ipaddress.IPv6Address(number)


def merged(ranges):
    out = []
    for first, last in sorted(ranges):
        if out and first <= out[-1][1] + 1:
            out[-1] = (out[-1][0], max(last, out[-1][1]))
        else:
            out.append((first, last))
    return out


def without_mapped(ranges):
    """IPv6 says nothing of the block that IPv4 addresses are mapped to."""
    out = []
    for first, last in ranges:
        if first < MAPPED[0]:
            out.append((first, min(last, MAPPED[0] - 1)))
        if last > MAPPED[1]:
            out.append((max(first, MAPPED[1] + 1), last))
    return merged(out)


def where(version, entries, wanted):
    """All addresses of a family for which wanted(address) holds; it must not change but where an entry begins or ends."""
    cuts = stretches(version, entries)
    ends = [cut - 1 for cut in cuts[1:]] + [(1 << BITS[version]) - 1]
    found = merged((first, last) for first, last in zip(cuts, ends) if wanted(number_to_address(version, first)))
    return without_mapped(found) if version == 6 else found


def entries_of(vserver):
    return [entry for key in ('connections', 'relay') if vserver[key] for entry in vserver[key][1]]


def relays(vserver, address):
    if not may_connect(vserver, address):
        return False
    return takes_domain(vserver['local_domains'] + vserver['relay_domains'], FOREIGN) or in_relay_list(vserver, address)


def who_can(vserver, right, version):
    wanted = relays if right == 'relay' else may_connect
    return where(version, entries_of(vserver), lambda address: wanted(vserver, address))


def less(vserver, other, right, version):
    """Whom the one lets and the other does not; either may be None."""
    wanted = relays if right == 'relay' else may_connect
    entries = [entry for v in (vserver, other) if v for entry in entries_of(v)]
    return where(version, entries, lambda address: bool(vserver) and wanted(vserver, address) and not (other and wanted(other, address)))


def ranges_of(prefixes, version):
    found = merged((int(network(p)[0]), int(network(p)[-1])) for p in prefixes)
    return without_mapped(found) if version == 6 else found


# --- the open-relay guard

def strangers(policy, vserver):
    """Whether anybody outside own_networks relays without login."""
    own = policy['own_networks']
    for version in (4, 6):
        if where(version, entries_of(vserver) + own, lambda address: relays(vserver, address) and not listed(own, address)):
            return True
    return False


def is_refused(policy):
    """Whether the guard refuses the policy, as far as addresses go."""
    return any(not v['open_relay'] and strangers(policy, v) for v in policy['vservers'])
