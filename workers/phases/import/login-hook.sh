# Lets the build farm in, for as long as the image is built: runs as root in the guest, at every boot, before cloud-init
# makes accounts. POSIX sh, busybox too. `user` and `key` are set above, and key-files.sh is there. It is beside what the
# user data asks for and changes none of it; the farm takes the key and this file away before it captures the disks.
umask 077

find_account() {
  while IFS=: read -r name _ uid gid _ home _; do
    [ "$name" != "$user" ] || return 0
  done < /etc/passwd
  return 1
}

# Makes a directory of the account's.
own_directory() {
  [ -d "$1" ] || { mkdir -p "$1" && chown "$uid:$gid" "$1"; }
}

# The farm's line comes first: sshd takes the first that has the key, and cloud-init may have written one that turns root
# away.
let_in() {
  find_account || return 1
  # sshd only answers once there are host keys.
  file=$(key_files | head -n 1)
  [ "$(head -n 1 "$file" 2> /dev/null)" != "$key" ] || return 0
  # sshd reads it as the account.
  case $file in "$home"/*) own_directory "$home" && own_directory "${file%/*}" ;; *) (umask 022 && mkdir -p "${file%/*}") ;; esac
  others=$(grep -vxF -e "$key" "$file" 2> /dev/null)
  [ -e "$file" ] || { : > "$file" && chown "$uid:$gid" "$file"; }
  printf '%s\n' "$key" ${others:+"$others"} > "$file"
  ! command -v restorecon > /dev/null || restorecon -R "${file%/*}"
}

# An account that neither the image nor the user data has, as cloud-init would make its default one.
make_account() {
  shell=/bin/bash
  [ -x $shell ] || shell=/bin/sh
  useradd -m -s $shell "$user" || adduser -D -s $shell "$user" || return
  # A star for a password locks it; an exclamation mark would close the account to an sshd without PAM.
  echo "$user:*" | chpasswd -e
  [ ! -d /etc/sudoers.d ] || {
    printf '\n# User rules for %s\n%s ALL=(ALL) NOPASSWD:ALL\n' "$user" "$user" >> /etc/sudoers.d/90-cloud-init-users
    chmod 440 /etc/sudoers.d/90-cloud-init-users
  }
}

# cloud-init sets the mark of a module when it begins it. While the one for SSH makes new host keys, sshd does not answer.
accounts_made() {
  [ -e /run/cloud-init/result.json ] || {
    [ -e "$marks/config_users_groups" ] && [ -e "$marks/config_ssh" ] && knows_key_files
  }
}

# Existing accounts can log in now. What cloud-init makes of accounts and keys comes after this hook, so look again then.
marks=${0%/*}/../sem
let_in
{
  tries=0
  until accounts_made || [ $tries -ge 3000 ]; do
    sleep 0.2
    tries=$((tries + 1))
  done
  let_in || { make_account && let_in; }
} < /dev/null > /dev/null 2>&1 &
