#!/usr/bin/env python3
"""An external function is named after its file, so that its name says where it lives."""
import os
import subprocess

import tree

FREE = {'main', 'LLVMFuzzerTestOneInput'}

listing = subprocess.run(
    ['ctags', '--languages=C', '--kinds-C=f', '--fields=+fn', '--sort=no', '-L', '-', '-f', '-'],
    input='\n'.join(tree.product('.c')), text=True, capture_output=True, check=True, cwd=tree.ROOT).stdout
problems = []
for row in listing.splitlines():
    name, path, *rest = row.split('\t')
    module = os.path.basename(path)[:-2]
    static = any(part.startswith('file:') for part in rest)
    if static or name in FREE or name == module or name.startswith(module + '_'):
        continue
    line = next((part[5:] for part in rest if part.startswith('line:')), '?')
    problems.append(f'{path}:{line}: {name} should be {module} or {module}_*')
tree.finish(problems)
