#!/usr/bin/env python3
"""conformance_table.py SOURCE - each case that docs/conformance.md names is in the file that it names."""
import pathlib
import re
import sys

source = pathlib.Path(sys.argv[1])
bad, cases = [], 0
for entry in re.findall(r'`(tests/[^`]*: [^`]*)`', (source / 'docs/conformance.md').read_text()):
    name, wanted = entry.split(': ', 1)
    text = (source / name).read_text() if (source / name).exists() else ''
    for case in wanted.split(', '):
        cases += 1
        if not re.search(rf'(?<![\w-]){re.escape(case)}(?![\w-])', text):
            bad.append(f'{name}: {case}')
print('\n'.join(bad) or f'{cases} cases')
sys.exit(bool(bad) or cases < 80)
