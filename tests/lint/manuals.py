#!/usr/bin/env python3
"""usage: manuals.py BUILD_DIR - each program has a manual page and --help, and both tell of the same options and of the exit status."""
import os
import re
import subprocess
import sys

import tree

build = sys.argv[1] if len(sys.argv) > 1 else os.path.join(tree.ROOT, 'build')
pages = {os.path.basename(p).rsplit('.', 1)[0]: p for p in tree.product('.1', '.8')}
problems = []


def run(program, *arguments):
    return subprocess.run([os.path.join(build, program), *arguments], text=True, stdin=subprocess.DEVNULL, capture_output=True, timeout=20)


def options(text):
    return set(re.findall(r'(?<![\w-])--[a-z][a-z-]*', text))


def check(program):
    if program not in pages:
        problems.append(f'{program}: has no manual page')
        return
    page = re.sub(r'\\f[BIR]', ' ', tree.read(pages[program])).replace('\\-', '-')
    shown = run(program, '--help')
    if shown.returncode != 0 or not shown.stdout.startswith(f'usage: {program} '):
        problems.append(f'{program} --help: exit {shown.returncode}, "{(shown.stdout + shown.stderr)[:60]!r}"')
    if '.SH EXIT STATUS' not in page:
        problems.append(f'{pages[program]}: has no exit status')
    for option in sorted(options(shown.stdout) - options(page)):
        problems.append(f'{pages[program]}: {option} of --help is missing')
    for option in sorted(options(page) - options(shown.stdout) - {'--help', '--children'}):  # one for everybody, one for tests
        problems.append(f'{program} --help: {option} of the manual page is missing')
    wrong = run(program, '--no-such-option')
    if wrong.returncode != 2 or not wrong.stderr:
        problems.append(f'{program} --no-such-option: exit {wrong.returncode}, "{wrong.stderr[:60]!r}"')


for name in re.findall(r"^executable\('(\w[\w-]*)'", tree.read('meson.build'), re.M):
    check(name)
tree.finish(problems)
