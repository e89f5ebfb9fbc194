#!/bin/sh
# A compiler for `RUSTC_WORKSPACE_WRAPPER` that counts which code runs: of this workspace, not of its dependencies.
exec "$@" -C instrument-coverage
