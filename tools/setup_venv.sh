#!/bin/sh
# Make the virtual environment $2 with the Python $1, and say in one line what is wrong when that can't be done.
set -u
python=$1 venv=$2 log=$2.log

fail() { echo "setup: $1" >&2; exit 1; }

command -v "$python" >/dev/null 2>&1 || fail "no '$python' here; install Python 3.11 or newer, or name one: make PYTHON=python3.12 ..."
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$("$python" --version) is too old; the course needs 3.11 or newer: make PYTHON=python3.12 ..."
"$python" -c 'import ensurepip, venv' 2>/dev/null || fail "this Python has no venv module; on Debian and Ubuntu: apt install python3-venv"
free=$(df -Pk . | awk 'NR == 2 { print int($4 / 1048576) }')
[ "$free" -ge 4 ] || fail "only $free GiB free here; the packages take up to 4 GiB (without CUDA)"

echo "setup: installing the course's packages into $venv (once, some minutes) ..." >&2
{ [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"; } >"$log" 2>&1 || fail "can't make $venv; see $log"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[test]' >>"$log" 2>&1 || {
    grep -qiE 'no space left' "$log" && fail "the disk is full; see $log"
    grep -qiE 'NewConnectionError|Temporary failure in name resolution|Network is unreachable|ConnectTimeout' "$log" &&
        fail "no network, or no package index behind it; see $log"
    fail "pip could not install the packages: $(grep -m 1 '^ERROR' "$log"); see $log"
}
"$venv/bin/llmsys" fetch-data >>"$log" 2>&1 ||
    echo "setup: the lessons' text was not fetched, they fall back on Python's own; later: $venv/bin/llmsys fetch-data" >&2
rm -f "$log"
