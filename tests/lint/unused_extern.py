#!/usr/bin/env python3
"""usage: unused_extern.py BUILD_DIR - an external function that no other product file uses is static, or it is dead.

A function that exists for tests carries the words "For tests" in its header, on the line before it or on its own.
"""
import os
import re
import subprocess
import sys

import tree

build = sys.argv[1] if len(sys.argv) > 1 else os.path.join(tree.ROOT, 'build')
objects = []
for folder, folders, names in os.walk(build):
    folders[:] = [f for f in folders if not (folder == build and f in ('tests', 'meson-private', 'meson-logs'))]
    objects += [os.path.join(folder, n) for n in names if n.endswith('.o')]
if not objects:
    tree.finish([f'{build}: no objects; build first'])


def symbols(*options):
    out = subprocess.run(['nm', '-A', *options, *objects], text=True, capture_output=True, check=True).stdout
    return [line.rsplit(':', 1) for line in out.splitlines()]


defined = {}
for path, rest in symbols('--defined-only'):
    kind, name = rest.split()[-2:]
    if kind == 'T' and name != 'main':
        defined[name] = path
wanted = {rest.split()[-1] for _, rest in symbols('--undefined-only')}
for_tests = set()
for path in tree.product('.h'):
    for match in re.finditer(r'For tests[^\n]*\n(?:\s*//[^\n]*\n)*[^;]*?\b(\w+)\s*\(', tree.read(path)):
        for_tests.add(match.group(1))
tree.finish([f'{os.path.basename(path)}: {name} is external but used by no other file'
             for name, path in sorted(defined.items()) if name not in wanted | for_tests])
