#!/usr/bin/env bash
# Measure mmbench on a device, in stages that are bounded and independent of each other.
#
#   OUT          folder of the results (default ./out); each line is there once it is known
#   DEVICE       cuda (default) or cpu
#   TINY         1 reduces every stage to seconds, which shows that it works
#   SECONDS_ALL  seconds of the whole (default 530)
#   STAGES       the stages, in order
#   PACKED       folder that pack.py filled (default: packed/ beside this script)
#   PYTHON       interpreter with torch (default python3)
set -u
HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
export OUT=${OUT:-$PWD/out} OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1
DEVICE=${DEVICE:-cuda} ALL=${SECONDS_ALL:-530} PACKED=${PACKED:-$HERE/packed}
PYTHON=${PYTHON:-python3} TINY=${TINY:+--tiny}
STAGES=${STAGES:-environment tests parity neighbours graphs gaussians images training profile}
declare -A MOST=([environment]=35 [tests]=100 [parity]=80 [neighbours]=60
    [graphs]=60 [gaussians]=60 [images]=75 [training]=70 [profile]=45)
SITE=$(mktemp -d)
trap 'rm -rf "$SITE"' EXIT
mkdir -p "$OUT"
say() { echo "== $SECONDS s: $*" | tee -a "$OUT/progress.txt"; }

if [ -d "$PACKED" ]; then
    "$PYTHON" "$HERE/pack.py" unpack "$PACKED" "$SITE" || say "unpacking failed"
    export PYTHONPATH="$SITE/packages${PYTHONPATH:+:$PYTHONPATH}"
    export MMBENCH_DATA=${MMBENCH_DATA:-$SITE/data}
fi
export PYTHONPATH="$ROOT:$ROOT/tests/helpers${PYTHONPATH:+:$PYTHONPATH}"
cd "$ROOT" || exit 1
failed=0
for stage in $STAGES; do
    left=$((ALL - SECONDS))
    most=${MOST[$stage]}
    [ "$left" -lt "$most" ] && most=$left
    if [ "$most" -lt 8 ]; then say "$stage: no time left"; continue; fi
    say "$stage, at most $most s"
    timeout -k 5 "$most" "$PYTHON" -m benchmarks.device.stages "$stage" \
        --device "$DEVICE" --seconds $((most - 5)) $TINY \
        >"$OUT/$stage.txt" 2>&1
    code=$?
    tail -3 "$OUT/$stage.txt" | cut -c 1-300
    say "$stage ended with $code"
    [ "$code" -eq 0 ] || failed=1
done
exit $failed
