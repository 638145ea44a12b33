#!/usr/bin/env bash
# Builds the guests that the tests and the demo run, from Debian packages only: no mount, no loop device, no chroot, and
# (for the tiny guest) no root.
#
#   build.sh [tiny|debian|all]     tiny (default): cloud image and installer ISO; debian and all: the Debian image as well
#
# The last line of stdout is {"cloudImage":path,"signedImage":path,"installerIso":path,"debianImage":path|null}; progress goes to stderr.
# Results are kept in ${SLIPWAY_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/slipway}/guest/<kind>-<key>/, where the key is
# a hash of everything that decides them: these scripts and the exact packages that apt would fetch today.
# shellcheck source-path=SCRIPTDIR
set -euo pipefail
shopt -s inherit_errexit

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${SLIPWAY_CACHE_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/slipway}/guest
export PATH=$PATH:/usr/sbin:/sbin LC_ALL=C
umask 022
. "$here/lib.sh"
. "$here/tiny/packages.sh"
. "$here/debian/packages.sh"

kind=${1:-tiny}
case $kind in
  tiny | debian | all) ;;
  *) fail "Unknown guest \"$kind\": use tiny, debian or all." ;;
esac

# The inputs of one kind: its files (names, modes and contents) and the packages, as text to be hashed.
inputs_of() {
  (cd "$here" && find build.sh lib.sh "$1" -type f -printf '%m ' -exec sha256sum {} \; | sort -k 3)
  packages_of "$1"
}

# Asking apt takes a second; its answer holds until its lists, its configuration or our list of packages change.
packages_of() {
  local answer
  answer=$cache/.packages-$1-$({ cat "$here/lib.sh" "$here/$1/packages.sh" && stat -c '%n %Y' /var/lib/apt/lists /var/lib/apt/lists/* /etc/apt/*; } |
    sha256sum | cut -c 1-16)
  if [ ! -s "$answer" ]; then
    case $1 in
      tiny) package_uris "${tiny_packages[@]}" > "$answer.$$" ;;
      debian) package_uris "${debian_packages[@]}" > "$answer.$$" ;;
    esac
    mv "$answer.$$" "$answer"
  fi
  cat "$answer"
}

# Builds one kind unless it is in the cache; prints its directory. Two builders of the same key wait for each other; an
# interrupted build leaves nothing that looks finished.
ensure() {
  local kind=$1 key target work
  mkdir -p "$cache"
  key=$(inputs_of "$kind" | sha256sum | cut -c 1-16)
  target=$cache/$kind-$key
  if [ ! -d "$target" ]; then
    exec 9> "$cache/.$kind-$key.lock"
    flock 9
    if [ ! -d "$target" ]; then
      work=$(mktemp -d "$cache/.building-$kind-XXXXXX")
      # shellcheck disable=SC2064 # the directory of this very build
      trap "rm -rf '$work'" EXIT
      mkdir "$work/out"
      bash "$here/$kind/build.sh" "$work" "$cache/packages" >&2 || fail "The $kind guest was not built."
      mv -T "$work/out" "$target"
      rm -rf "$work"
      trap - EXIT
      say "built $target"
    fi
    exec 9>&-
  fi
  touch "$target"
  echo "$target"
}

# Side by side; each reports itself why it was not built.
[ "$kind" = tiny ] || exec 8< <(ensure debian)
tiny=$(ensure tiny)
debian=null
if [ "$kind" != tiny ]; then
  directory=$(cat <&8)
  [ -n "$directory" ] || exit 1
  debian=\"$directory/debian.qcow2\"
fi
# Guests of older sources: nobody starts from them after two weeks without use.
find "$cache" -mindepth 1 -maxdepth 1 \( -name 'tiny-*' -o -name 'debian-*' -o -name '.packages-*' \) -mtime +14 -exec rm -rf {} + 2> /dev/null || true

printf '{"cloudImage":"%s","signedImage":"%s","installerIso":"%s","debianImage":%s}\n' \
  "$tiny/cloud.qcow2" "$tiny/signed.qcow2" "$tiny/installer.iso" "$debian"
