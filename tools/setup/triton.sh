#!/bin/bash
# Fetches the peer of the Python backend's bench, once a machine, into the cache: the real Triton with its Python backend, out of the PyPI
# wheel nvidia-pytriton. Prints its folder, in which `tritonserver` runs it and `venv` is
# the Python with the NumPy that it needs. Only benches use it.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=tools/setup/fetch.sh
source "$here/fetch.sh"

folder=$cache/triton-$(sha256sum "${BASH_SOURCE[0]}" | cut -c1-12)
if [ ! -e "$folder/.complete" ]; then
  say "a real Triton for the benches (once a machine)" >&2
  file=$(fetch 'nvidia_pytriton-0.7.0-*.whl' 21f063ff93bb426d0c06b7a55e7eb9efcfe62c0dddd9a908e9877e18710128df "${wheel[@]}" nvidia-pytriton==0.7.0)
  rm -rf "$folder" && mkdir -p "$folder"
  python3 -m zipfile -e "$file" "$folder/wheel"
  # The stub was built for NumPy 1 (with a later one it sends empty tensors), and takes its packages from the python3 on PATH.
  python=$("$here/python.sh")/bin/python
  "$python" -m venv --without-pip "$folder/venv"
  numpy=$(fetch 'numpy-1.26.4-cp311-*.whl' 666dbfb6ec68962c033a450943ded891bed2d54e6755e35e5835d63f4f6931d5 "${wheel[@]}" numpy==1.26.4)
  python3 -m zipfile -e "$numpy" "$("$folder/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')"
  minor=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  server=$folder/wheel/pytriton/tritonserver
  cp "$server/python_backend_stubs/$minor/triton_python_backend_stub" "$server/backends/python/"
  chmod +x "$server/bin/tritonserver" "$server/backends/python/triton_python_backend_stub"
  # It is linked against libpython.
  libpython=$("$python" -c 'import sysconfig; print(sysconfig.get_config_var("LIBDIR"))')
  cat >"$folder/tritonserver" <<SCRIPT
#!/bin/bash
export LD_LIBRARY_PATH=$folder/wheel/nvidia_pytriton.libs:$libpython PATH=$folder/venv/bin:\$PATH
exec $server/bin/tritonserver --backend-directory=$server/backends "\$@"
SCRIPT
  chmod +x "$folder/tritonserver"
  touch "$folder/.complete"
fi
echo "$folder"
