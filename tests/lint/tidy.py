#!/usr/bin/env python3
"""usage: tidy.py [BUILD_DIR] - clang-tidy over every product file, with the compile commands of a clang build.

Slow with DPDK's headers, so a file that was clean is not looked at again until it, a header of the project or the rules
change (BUILD_DIR/tidy-clean). The files of the newest commits come first. TIDY_SECONDS (150) bounds one run; what was not
reached is said, and is no failure.
"""
import concurrent.futures
import hashlib
import os
import shutil
import subprocess
import sys
import time

import tree

build = os.path.abspath(sys.argv[1] if len(sys.argv) > 1 else os.path.join(tree.ROOT, 'build-asan'))
deadline = time.monotonic() + float(os.environ.get('TIDY_SECONDS', '150'))
clean_dir = os.path.join(build, 'tidy-clean')
os.makedirs(clean_dir, exist_ok=True)
shared = hashlib.sha256('\0'.join([tree.read('.clang-tidy'), *map(tree.read, tree.product('.h', '.def'))]).encode()).hexdigest()


def look(path):
    mark = os.path.join(clean_dir, hashlib.sha256((shared + path + tree.read(path)).encode()).hexdigest())
    if os.path.exists(mark):
        return path, []
    left = deadline - time.monotonic()
    if left <= 0:
        return path, None
    try:
        done = subprocess.run(['clang-tidy', '--quiet', '-p', build, path], cwd=tree.ROOT, text=True,
                              capture_output=True, timeout=left)
    except subprocess.TimeoutExpired:
        return path, None
    found = [line.replace(tree.ROOT + '/', '') for line in done.stdout.splitlines() if 'error:' in line or 'warning:' in line]
    if done.returncode == 0 and not found:
        open(mark, 'w').close()
    return path, found or ([f'{path}: clang-tidy failed: {done.stderr[-300:]}'] if done.returncode else [])



def newest_first():
    """Edited files, then those of each commit, then, without git, the rest."""
    order = []
    for command in (['git', 'diff', '--name-only', 'HEAD'], ['git', 'log', '-n', '300', '--name-only', '--format=']):
        if shutil.which('git') is not None:
            order += subprocess.run(command, cwd=tree.ROOT, text=True, capture_output=True).stdout.split('\n')
    place = {}
    for path in order:
        place.setdefault(path, len(place))
    return sorted(tree.product('.c'), key=lambda path: place.get(path, len(place)))


with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
    results = list(pool.map(look, newest_first()))
missed = [path for path, found in results if found is None]
problems = sorted({line for _, found in results for line in found or []})
tree.finish(problems, f'not reached in time: {len(missed)} of {len(results)} files' if missed else '')
