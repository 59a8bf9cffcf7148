#!/usr/bin/env python3
"""usage: suffix_rules.py LIST OUT: the rules of the public suffix list that have several labels, as a table of C.

libpsl answers whether a name is a public suffix, and cannot be asked which ones are below a name: that is what this is for.
"""
import sys


def rules(path):
    with open(path, encoding='utf-8') as lines:
        for line in lines:
            rule = line.split()[0] if line.split() else ''
            # An exception is no suffix itself.
            if rule and not rule.startswith('//') and not rule.startswith('!') and '.' in rule:
                yield '.'.join(label if label == '*' else label.encode('idna').decode() for label in rule.split('.'))


def main():
    found = sorted(set(rules(sys.argv[1])))
    if len(found) < 1000:
        sys.exit(f'{sys.argv[1]}: {len(found)} rules are too few for a public suffix list')
    with open(sys.argv[2], 'w', encoding='ascii') as out:
        out.write('// Made by suffix_rules.py.\n#include "config/suffix_rules.h"\n\nconst char *const suffix_rules[] = {\n')
        out.writelines(f'\t"{rule}",\n' for rule in found)
        out.write('};\nconst size_t suffix_rule_count = sizeof(suffix_rules) / sizeof(suffix_rules[0]);\n')


main()
