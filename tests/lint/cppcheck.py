#!/usr/bin/env python3
"""cppcheck over all of the product."""
import subprocess

import tree

done = subprocess.run(
    ['cppcheck', '-j2', '--quiet', '--std=c11', '--enable=warning,performance,portability', '--inline-suppr',
     # One thread each: getpwnam() at start, readdir() of a directory stream of one's own.
     '--suppress=getpwnamCalled', '--suppress=readdirCalled', '--library=posix', '--suppress=missingIncludeSystem', '--suppress=unknownMacro', '--suppress=nullPointerArithmeticRedundantCheck',
     '--template={file}:{line}: {severity}: {message} [{id}]', '-D__x86_64__', '-D_GNU_SOURCE', '-I.', '-Idataplane', '-Icontrol',
     *tree.product('.c')], cwd=tree.ROOT, text=True, capture_output=True)
tree.finish(sorted({line for line in done.stderr.splitlines() if '[' in line}))
