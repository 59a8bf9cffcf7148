#!/usr/bin/env python3
"""All C is as clang-format leaves it."""
import subprocess

import tree

done = subprocess.run(['clang-format', '--dry-run', '-Werror', *tree.files('.c', '.h')], cwd=tree.ROOT,
                      text=True, capture_output=True)
tree.finish([line for line in done.stderr.splitlines() if 'error:' in line])
