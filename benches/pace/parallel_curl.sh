# Pushes one command to each device with GNU parallel and curl; a request that is refused is started again, up to 1,000 times.
#
# usage: sh parallel_curl.sh BASE_URL TOKEN CONCURRENCY DEVICES
set -eu
base_url=$1 token=$2 concurrency=$3 devices=$4
url="$base_url/v2/deviceshadow/r3/openapi/dm/sendServiceData?language=EN"
# Parallel asks everybody once to cite its paper.
mkdir -p "$HOME/.parallel" && touch "$HOME/.parallel/will-cite"
seq -f 'DK%05.0f' "$devices" | parallel --jobs "$concurrency" --retries 1000 --quote curl --silent --fail --output /dev/null \
    --header "Authorization: $token" --header 'Content-Type: application/json' \
    --data '{"productKey":"PK0001","devices":["{}"],"data":"[{\"fuwu\":[{\"raw1\":\"AA\"}]}]"}' "$url"
