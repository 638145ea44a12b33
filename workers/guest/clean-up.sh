# Takes out of a guest what the farm brought in to build its image: its key, and what cloud-init kept of the farm's part.
# POSIX sh, busybox too; as root where the farm can be that. $key, the Base64 of the build's public key, $user, who logs in, and
# $home, that of the user, are set above, and key-files.sh is there.
PATH=$PATH:/usr/sbin:/sbin

# To start a process is what costs time in a guest, so the shell looks itself. A file that is empty then was made for the key
# alone.
without_key() {
  [ -f "$1" ] || return
  found='' others=''
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
    *"$key"*) found=yes ;;
    *) others="$others$line
" ;;
    esac
  done <"$1"
  [ -n "$found" ] || return
  if [ -n "$others" ]; then printf %s "$others" >"$1"
  else rm -f "$1" && rmdir "${1%/*}" 2>/dev/null; fi
}

# The user's, and where they are for the other accounts of the guest.
keys_of_accounts() {
  key_files
  while IFS=: read -r name password uid gid comment folder shell; do
    [ -z "$folder" ] || echo "$folder/.ssh/authorized_keys"
  done </etc/passwd
}

keys_of_accounts | while IFS= read -r file; do without_key "$file"; done

if [ "$(id -u)" = 0 ]; then
  [ ! -d /var/lib/cloud ] ||
    grep -rlF -e "$key" -e slipway-login /var/lib/cloud* 2>/dev/null | while IFS= read -r file; do rm -f "$file"; done
  grep -sl slipway /var/log/cloud-init*.log /var/log/auth.log /var/log/secure /var/log/syslog /var/log/messages |
    while IFS= read -r file; do sed -i /slipway/d "$file"; done
  # Every machine that starts from the image makes its own (machine-id(5)); cloud-init does not see to that.
  if [ -d /run/systemd/system ] && [ -s /etc/machine-id ]; then : >/etc/machine-id; fi
fi
# Whether something was found is no failure.
:
