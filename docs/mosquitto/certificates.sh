#!/bin/sh
# Certificates for a broker and its clients, in the directory where it runs; docs/broker.md says where they go.
#   certificates.sh ca                     a certificate authority of your own: terrible-ca.crt, terrible-ca.key
#   certificates.sh broker HOST [HOST…]    the broker's, for each name and address that clients reach it by
#   certificates.sh client USER            a client's; USER is who the broker takes it for
# Whoever has terrible-ca.key can make certificates that the broker believes: keep it elsewhere.
set -eu
umask 077
days=3650

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1"; }

# FILE, COMMON NAME, EXTENSIONS: a key and a certificate signed by the authority
signed() {
    key "$1.key"
    printf '%s\n' 'basicConstraints=critical,CA:FALSE' 'subjectKeyIdentifier=hash' 'authorityKeyIdentifier=keyid' \
        'keyUsage=critical,digitalSignature' "$3" > "$1.ext"
    openssl req -new -key "$1.key" -subj "/CN=$2" |
        openssl x509 -req -CA terrible-ca.crt -CAkey terrible-ca.key -CAcreateserial -days $days \
            -extfile "$1.ext" -out "$1.crt"
    rm "$1.ext"
}

names() {
    for name in "$@"; do
        case $name in *:* | *[0-9].[0-9]*.[0-9]*.[0-9]*) kind=IP ;; *) kind=DNS ;; esac
        printf '%s%s:%s' "${comma:-}" $kind "$name"
        comma=,
    done
}

case ${1:-} in
ca)
    key terrible-ca.key
    openssl req -x509 -new -key terrible-ca.key -days $days -subj "/CN=terrible $(uname -n)" -out terrible-ca.crt \
        -addext keyUsage=critical,keyCertSign,cRLSign
    ;;
broker)
    shift
    signed terrible-broker "$1" "$(printf '%s\n' extendedKeyUsage=serverAuth "subjectAltName=$(names "$@")")"
    ;;
client)
    signed "$2" "$2" extendedKeyUsage=clientAuth
    ;;
*)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
