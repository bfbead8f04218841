docker run --detach --name spillway-012345-local.2-a234617f \
  --network host --read-only --cap-drop ALL --security-opt no-new-privileges \
  --pids-limit 4096 --tmpfs /tmp:rw,nosuid,nodev,noexec \
  --log-driver json-file --log-opt max-size=16m --log-opt max-file=2 \
  --restart on-failure --user 1000:1000 \
  --cpus 1.5 \
  --memory 536870912 --memory-swap 536870912 \
  --gpus '"device=0,GPU-1"' \
  --mount type=bind,source=/dev/null,target=/dev/null,readonly \
  --label spillway.backend=local/2 \
  --label spillway.owner=0123456789abcdef \
  --label spillway.port=18001 \
  --label spillway.run=a234617fa59d42865d2e2d54e70dfe822217100a969759177e9d3745a6ccfa0f \
  --env KMP_BLOCKTIME=1 \
  --env "LLAMA_API_KEY=${SPILLWAY_ENGINE_KEY}" \
  --env HOME=/tmp \
  --env "SPILLWAY_ENGINE_KEY=${SPILLWAY_ENGINE_KEY}" \
  --entrypoint /app/llama-server \
  sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa --host 127.0.0.1 --port 18001 --model /dev/null --alias null --ctx-size 8192 --parallel 2 --no-ui --offline --metrics --verbosity 4 --cache-ram 128 --note "a \$HOME \"b\" \`c\` \\d"
