"""A second, slow opinion on who may connect and who may relay, written from the product's specification alone.

It shares no code and no idea with the product: a policy is plain Python data, a list is asked entry by entry, and a set of addresses
is found by asking for one address of each stretch in which no entry begins or ends.

    policy = {'own_networks': [prefix...], 'vservers': [vserver...]}
    vserver = {'name', 'local_domains': [...], 'relay_domains': [...], 'connections': rule, 'relay': rule, 'open_relay': bool}
    rule = None | ('only' | 'all_except', [entry...])       entries are texts: prefixes, host names, ".suffix", "/regex/"

A client's name is its confirmed one, None when it has none, UNKNOWN when that could not be found out.
"""
import ipaddress
import re

ACCEPT, REFUSE, DEFER = 'accept', 'refuse', 'defer'
UNKNOWN = '?'
UNLISTED = 'in-no-list.oracle.invalid'
FOREIGN = 'nobody-has-this.oracle.invalid'


def network(text):
    return ipaddress.ip_network(text)


def is_name(entry):
    return re.fullmatch(r'[0-9.]+(/[0-9]+)?|[0-9a-fA-F:.]*:[0-9a-fA-F:./]*', entry) is None


def holds(entry, address):
    net = network(entry)
    return net.version == address.version and address in net


def listed(entries, address):
    return any(holds(entry, address) for entry in entries if not is_name(entry))


def fits(entry, name):
    if entry.startswith('/'):
        return re.fullmatch(entry[1:-1], name) is not None
    if entry.startswith('.'):
        return name.endswith(entry) and name != entry
    return name == entry.lower()


def let_in(rule, address, name, unwritten):
    """What a list says of a client: True, False, or None when that hangs on a name nobody knows."""
    if rule is None:
        return unwritten
    mode, entries = rule
    names = [entry for entry in entries if is_name(entry)]
    if listed(entries, address):
        return mode == 'only'
    if not names:
        return mode != 'only'
    if name == UNKNOWN:
        return None
    if name is None:  # in a list of exceptions it counts as one, or it would escape by deleting its PTR
        return False
    return any(fits(entry, name) for entry in names) == (mode == 'only')


def may_connect(vserver, address, name=None):
    return let_in(vserver['connections'], address, name, True)


def in_relay_list(vserver, address, name=None):
    return let_in(vserver['relay'], address, name, False)


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


def decide(vserver, client, recipient=None, name=None):
    """(verdict, stage) of a client without login and TLS."""
    address = address_of(client)
    connects = may_connect(vserver, address, name)
    if connects is not True:
        return (REFUSE if connects is False else DEFER), 'connect'
    if recipient is None:
        return ACCEPT, 'connect'
    domain = recipient_form(recipient)
    if domain is None:
        return REFUSE, 'rcpt'
    if domain == '' or takes_domain(vserver['local_domains'] + vserver['relay_domains'], domain):
        return ACCEPT, 'rcpt'
    return {True: ACCEPT, False: REFUSE, None: DEFER}[in_relay_list(vserver, address, name)], 'rcpt'


# --- sets, as sorted lists of (first, last) for one family

BITS = {4: 32, 6: 128}
MAPPED = (0xffff << 32, (0xffff << 32) | 0xffffffff)  # written as IPv6, meant as IPv4


def stretches(version, entries):
    """First addresses of stretches in which all entries agree."""
    cuts = {0}
    for entry in entries:
        net = None if is_name(entry) else network(entry)
        if net is not None and net.version == version:
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


def connects_some_how(vserver, address):
    """Without a name that the list names."""
    return any(may_connect(vserver, address, name) for name in (None, UNLISTED))


def relays_some_how(vserver, address):
    """Without a name that the relay list names, but maybe with one that lets it connect."""
    rule = vserver['connections']
    by_name = rule is not None and rule[0] == 'only' and any(is_name(entry) for entry in rule[1])
    for name in (None, UNLISTED):
        relays = takes_domain(vserver['local_domains'] + vserver['relay_domains'], FOREIGN) or in_relay_list(vserver, address, name)
        if relays and (may_connect(vserver, address, name) or (by_name and name == UNLISTED)):
            return True
    return False


SOME_HOW = {'relay': relays_some_how, 'connect': connects_some_how}


def who_can(vserver, right, version):
    return where(version, entries_of(vserver), lambda address: SOME_HOW[right](vserver, address))


def names_that_can(vserver, right):
    rule = vserver['relay' if right == 'relay' else 'connections']
    return [entry for entry in rule[1] if is_name(entry)] if rule is not None and rule[0] == 'only' else []


def less(vserver, other, right, version):
    """Whom the one lets and the other does not; either may be None."""
    wanted = SOME_HOW[right]
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
        if where(version, entries_of(vserver) + own, lambda address: relays_some_how(vserver, address) and not listed(own, address)):
            return True
    return False


def is_refused(policy):
    """Whether the guard refuses the policy, as far as addresses go."""
    return any(not v['open_relay'] and strangers(policy, v) for v in policy['vservers'])
