# A short-lived authority, and a certificate of the stand-in internet that it signed, into the folder that is given.
set -euo pipefail

mkdir -p "$1"
cd "$1"
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj "/CN=Authority of the test" \
  -keyout "$scratch/authority-key.pem" -out authority.pem 2>"$scratch/log"
openssl req -newkey rsa:2048 -nodes -subj "/CN=Stand-in internet" \
  -keyout key.pem -out "$scratch/request.pem" 2>>"$scratch/log"
openssl x509 -req -in "$scratch/request.pem" -CA authority.pem -CAkey "$scratch/authority-key.pem" -days 30 \
  -set_serial 1 -out certificate.pem 2>>"$scratch/log" \
  -extfile <(echo "subjectAltName=DNS:api.githubcopilot.com,DNS:huggingface.co")
