# Takes the farm's way in out of a guest whose disks are about to be captured. POSIX sh, busybox too. `key` and `user` are
# set above. What the account may not touch stays.
PATH=$PATH:/usr/sbin:/sbin

keys_files() {
  sshd -T -C "user=$user,host=localhost,addr=127.0.0.1" 2> /dev/null |
    sed -n 's/^authorizedkeysfile //p' | tr ' ' '\n' | sed "s|%u|$user|g" | grep '^/'
  while IFS=: read -r _ _ _ _ _ home _; do echo "$home/.ssh/authorized_keys"; done < /etc/passwd
}

# Removes the line of the key, and the file with its folder when nothing else was in them.
keys_files | while IFS= read -r file; do
  grep -qxF -e "$key" "$file" 2> /dev/null || continue
  others=$(grep -vxF -e "$key" "$file")
  if [ -n "$others" ]; then
    printf '%s\n' "$others" > "$file"
  else
    rm -f "$file"
    rmdir "${file%/*}" 2> /dev/null
  fi
done

# What cloud-init keeps of the hook that let the farm in, and what it says of it.
grep -rlF slipway-login /var/lib/cloud 2> /dev/null | while IFS= read -r file; do rm -f "$file"; done
for log in /var/log/cloud-init.log /var/log/cloud-init-output.log; do
  [ ! -w $log ] || sed -i '/slipway-/d' $log
done
sync
