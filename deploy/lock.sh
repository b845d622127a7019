#!/usr/bin/env bash
# Make deploy/requirements.lock: what the image installs, with hashes. Needs uv on the PATH.
set -euo pipefail
cd "$(dirname "$0")/.."

# Versions stay as requirements.lock decided them, but where Airflow's Google provider wants another.
cp requirements.lock deploy/requirements.lock
# Without what only tests and checks need: some of that contradicts the providers.
sed '/^# --- making it ---/,$d' requirements.txt | cat - deploy/requirements.txt |
  uv pip compile - --python-version 3.11 --generate-hashes --no-config --quiet --no-annotate \
    --custom-compile-command deploy/lock.sh "$@" -o deploy/requirements.lock
