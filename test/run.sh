#!/usr/bin/env bash
# Counts legitimate and fraudulent transactions over the same window, and compares their rate with
# the expected one:  ./test/run.sh [SECONDS] > report.out
# Exit status: 0 as expected; 1 something is off; 2 it can't be measured.
exec "$(dirname "${BASH_SOURCE[0]}")/../fraud" report "$@"
