# Where sshd looks for the keys of an account, each file on a line, the first one first. $user and $home are set. POSIX sh.
# sshd itself answers best and takes longer for that than all else that is done with keys: it loads its own. So it is asked
# only where its configuration mentions it.
key_files() {
  if says_where_keys_are; then
    set -f
    for file in $(ask_sshd 2>/dev/null |
      sed -n "/^authorizedkeysfile /{ s///; s|%h|$home|g; s|%u|$user|g; s|%%|%|g; p; }"); do
      case $file in none) ;; /*) echo "$file" ;; *) echo "$home/$file" ;; esac
    done
    set +f
  fi
  echo "$home/.ssh/authorized_keys"
}

# More than the default, and more than to include what is looked at here anyway. A file of that name may be a link.
says_where_keys_are() {
  [ -e /etc/ssh/sshd_config ] || return 0
  grep -rshiE '^[[:space:]]*(AuthorizedKeysFile|Include)[[:space:]=]' /etc/ssh /etc/ssh/sshd_config /etc/ssh/sshd_config.d/* |
    grep -qvixE '[[:space:]]*(AuthorizedKeysFile([[:space:]=]+"?(%h/)?\.ssh/authorized_keys2?"?)+|Include([[:space:]=]+"?(/etc/ssh/)?[^/"[:space:]][^[:space:]]*)+)[[:space:]]*'
}

# Fails without host keys.
ask_sshd() {
  sshd -T -C "user=$user,host=localhost,addr=127.0.0.1"
}

knows_key_files() {
  ! says_where_keys_are || ask_sshd >/dev/null 2>&1
}
