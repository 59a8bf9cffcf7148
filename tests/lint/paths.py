#!/usr/bin/env python3
"""Nothing of one person's machine in the tree: no home or work paths, no keys; run bits where they belong; five
directories at the top."""
import os
import re

import tree

TOP = re.compile(r'(dataplane|control|config|bench|tests)/|meson\.build$|meson_options\.txt$|README\.md$|LICENSE$|\.')
# Written so that this file does not find itself.
MACHINE = re.compile(r'/(wor[k]|far[m]|roo[t]|hom[e]/\w+|tmp/wt|tmp/bash_job[s])/')
SECRET = re.compile(r'BEGIN [A-Z ]*PRIVATE KE[Y]|AKIA[0-9A-Z]{16}|gh[ps]_[A-Za-z0-9]{36}')
RUN = {'.ci/run', 'config/quickstart', 'config/install_packages', 'tests/run', 'tests/e2e/run'}

problems = []
for path in tree.files():
    if not TOP.match(path):
        problems.append(f'{path}: the top level holds five directories, meson.build, README.md and LICENSE')
    if path.startswith('tests/fuzz/seeds/'):
        continue
    for number, line in enumerate(tree.read(path).split('\n'), 1):
        if MACHINE.search(line):
            problems.append(f'{path}:{number}: a path of one machine')
        if SECRET.search(line):
            problems.append(f'{path}:{number}: looks like a secret')
for path in RUN:
    if not os.access(os.path.join(tree.ROOT, path), os.X_OK):
        problems.append(f'{path}: not there or not executable')
tree.finish(problems)
