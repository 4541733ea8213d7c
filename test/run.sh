#!/usr/bin/env bash
# Counts legitimate and fraudulent transactions over the same window, and compares their rate with
# the expected one:  ./test/run.sh [SECONDS] > report.out
# Exit status: 0 as expected; 1 something is off; 2 it can't be measured.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [ -x .venv/bin/python ]; then
    PYTHONPATH=test exec .venv/bin/python -m report "$@"
elif docker info >/dev/null 2>&1; then
    docker compose --profile report build --quiet report >&2
    exec docker compose --profile report run --rm --no-deps -T report "$@"
else
    echo 'report: neither .venv (made by make up) nor a Docker engine is there' >&2
    exit 2
fi
