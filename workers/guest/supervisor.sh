# The supervisor of steps in a guest: POSIX sh, busybox too. It keeps a script running whatever becomes of the SSH session
# that started it, and lets any later session find out how it stands.
#
#   status BUILD              the state of every step, one line each
#   prepare BUILD INDEX       make the state directory of a step
#   start DIR                 start the prepared step, once only, detached
#   follow DIR OFFSET         its log from a byte on, until it has ended; each line of input is an offset to remember
#   finish DIR OFFSET         how it ended, and the rest of the log
#   stop DIR                  end the step because its time is over
#   mark DIR CODE             record a step that needs no process
#   reboot DIR                record the boot id, then run DIR/command
#   remove BUILD              remove all state
#   run DIR, script DIR       inside: the detached runner, and what {{ .Command }} stands for
#
# A step's directory: script, env.sh, command (given); environment (of the SSH session); alive (a pipe whose writer is the
# runner); run/ (made by the one runner that may run: pid, uptime, boot, ended); exit (written over its reserved block); log;
# acked (offset that the farm has kept); drained, truncated, timeout, asked, asked-exit (marks).
login_umask=$(umask)
umask 077
LC_ALL=C
log_cap=${SLIPWAY_LOG_CAP:-67108864}

boot_id() {
  cat /proc/sys/kernel/random/boot_id 2>/dev/null || sysctl -n kern.boottime | tr -c 'A-Za-z0-9\n' '-'
}

# Seconds on a clock that nobody sets, where there is one.
seconds() {
  if read -r up rest 2>/dev/null </proc/uptime; then echo "${up%%.*}"; else date +%s; fi
}

pause() { sleep 0.1 2>/dev/null || sleep 1; }

size_of() {
  # shellcheck disable=SC2012
  set -- $(ls -ln "$1" 2>/dev/null) - - - - 0
  echo "$5"
}

# Sets $root: where the build's state is, or can be. Not under /tmp, which a reboot empties.
find_root() {
  user=$(id -u)
  if [ "$user" = 0 ]; then first=/var/lib/slipway; else first=$HOME/.slipway; fi
  case $first in *[!A-Za-z0-9/._-]*) first=/var/tmp/.slipway-$user ;; esac
  for base in "$first" "/var/tmp/.slipway-$user"; do
    root=$base/$1
    if [ -d "$root" ] && [ -O "$root" ]; then return 0; fi
  done
  [ "$2" = make ] || return 1
  for base in "$first" "/var/tmp/.slipway-$user"; do
    root=$base/$1
    mkdir -p "$base" && mkdir "$root" && return 0
  done
  return 1
}

# Prints the exit code; false when the step has not ended.
exit_code() {
  [ -s "$1/exit" ] || return 1
  read -r word code rest <"$1/exit"
  [ "$word" = exit ] && echo "$code"
}

# Writes over the reserved block, so that a full disk cannot lose the code.
record() {
  printf 'exit %s \n' "$2" 1<>"$1/exit"
  sync
}

# Prints the seconds that a step has run, or ran.
elapsed_of() {
  if [ ! -s "$1/run/uptime" ]; then echo 0; return; fi
  until=$(cat "$1/run/ended" 2>/dev/null)
  echo $((${until:-$(seconds)} - $(cat "$1/run/uptime")))
}

ran_before_this_boot() { [ -s "$1/run/boot" ] && [ "$(cat "$1/run/boot")" != "$boot" ]; }

state_of() {
  dir=$1
  if [ -e "$dir/timeout" ]; then echo "timeout -"
  elif code=$(exit_code "$dir"); then
    # A guest that goes down kills the script before it kills the runner, which may still record that.
    if [ "$code" -gt 128 ] && ran_before_this_boot "$dir"; then echo "crashed -"
    else echo "exited $code"; fi
  elif [ -s "$dir/asked" ]; then
    if [ "$(cat "$dir/asked")" = "$boot" ]; then
      asked=$(cat "$dir/asked-exit" 2>/dev/null)
      echo "asked ${asked:--}"
    else echo "rebooted -"; fi
  elif [ ! -d "$dir/run" ]; then echo "prepared -"
  elif [ ! -s "$dir/run/boot" ]; then
    # Between its first two actions the runner is not seen; what is left of an earlier boot stays like this.
    n=0
    while [ ! -s "$dir/run/boot" ] && [ $n -lt 50 ]; do pause; n=$((n + 1)); done
    if [ -s "$dir/run/boot" ]; then state_of "$dir"; else echo "died -"; fi
  elif ran_before_this_boot "$dir"; then echo "crashed -"
  else
    pid=$(cat "$dir/run/pid")
    if kill -0 "$pid" 2>/dev/null; then echo "running -"
    elif code=$(exit_code "$dir"); then echo "exited $code"
    else echo "died -"; fi
  fi
}

status() {
  boot=$(boot_id)
  echo "boot $boot"
  find_root "$1" || return 0
  echo "root $root"
  for dir in "$root"/[0-9]*; do
    [ -d "$dir" ] || continue
    acked=$(cat "$dir/acked" 2>/dev/null)
    echo "step ${dir##*/} $(state_of "$dir") $(elapsed_of "$dir") ${acked:-0}"
  done
}

prepare() {
  find_root "$1" make || exit 1
  dir=$root/$2
  [ -d "$dir" ] || mkdir "$dir" || exit 1
  [ -p "$dir/alive" ] || mkfifo "$dir/alive" || exit 1
  if [ ! -s "$dir/exit" ]; then
    printf '%-64s\n' '' >"$dir/exit.new" && mv "$dir/exit.new" "$dir/exit" || exit 1
  fi
  { export -p && echo "umask $login_umask"; } >"$dir/environment.new" && mv "$dir/environment.new" "$dir/environment" || exit 1
  echo "dir $dir"
}

# Several launches do no harm: only the first runner gets past its mkdir.
launch() {
  self=${1%/*}/supervisor.sh
  service='systemd-run --quiet --collect --no-ask-password -p KillMode=process -p TimeoutStopSec=5s'
  if [ -d /run/systemd/system ] && command -v systemd-run >/dev/null 2>&1; then
    # shellcheck disable=SC2086
    if [ "$(id -u)" = 0 ]; then
      $service sh "$self" run "$1" </dev/null >/dev/null 2>&1 && return
    elif sudo -n true 2>/dev/null; then
      sudo -n $service "--uid=$(id -u)" "--gid=$(id -g)" sh "$self" run "$1" </dev/null >/dev/null 2>&1 && return
    fi
  fi
  if command -v setsid >/dev/null 2>&1; then
    setsid sh "$self" run "$1" </dev/null >/dev/null 2>&1 &
  else
    nohup sh "$self" run "$1" </dev/null >/dev/null 2>&1 &
  fi
}

start() {
  sync
  launch "$1"
  n=0
  while [ ! -s "$1/run/boot" ] && [ $n -lt 300 ]; do pause; n=$((n + 1)); done
  [ -s "$1/run/boot" ]
}

run() {
  cd "$1" || exit 1
  trap '' HUP TERM
  mkdir run 2>/dev/null || exit 0
  echo $$ >run/pid
  seconds >run/uptime
  (
    # The script gets the default action back; the runner lives on to record how it ended.
    trap : TERM
    exec 9<>alive
    boot_id >run/boot.new
    mv run/boot.new run/boot
    sync
    (
      exec 9>&-
      . ./environment
      cd "$HOME" 2>/dev/null || cd /
      if [ -s "$1/command" ]; then exec sh "$1/command"; fi
      exec sh "${1%/*}/supervisor.sh" script "$1"
    ) </dev/null
    code=$?
    # A guest that goes down ends its processes first: that is no end of the script's own.
    if [ $code -gt 128 ] && [ ! -e timeout ]; then
      sleep 3
      if going_down; then exit; fi
    fi
    seconds >run/ended
    record "$1" $code
  ) 2>&1 | keep_log
}

going_down() {
  [ "$(systemctl is-system-running 2>/dev/null)" = stopping ] && return
  case "$(runlevel 2>/dev/null) $(rc-status -r 2>/dev/null)" in *' 0 '* | *' 6 '* | *shutdown | *reboot) return ;; esac
  return 1
}

# The head of the output goes to the log as it comes; the script is never held up by what is beyond.
keep_log() {
  trap ': >drained; exit' TERM
  size=0
  while [ "$size" -lt "$log_cap" ]; do
    dd bs=65536 count=128 2>/dev/null >>log || break
    grown=$(size_of log)
    if [ "$grown" = "$size" ]; then
      : >drained
      return
    fi
    size=$grown
  done
  : >truncated
  cat >/dev/null
  : >drained
}

script() {
  umask "$login_umask"
  . "$1/env.sh"
  if [ "$(head -c 2 "$1/script")" = '#!' ]; then
    chmod 700 "$1/script"
    exec "$1/script"
  fi
  if command -v bash >/dev/null 2>&1; then exec bash "$1/script"; fi
  exec sh "$1/script"
}

follow() {
  cd "$1" || exit 1
  exec 3<&0
  while read -r offset <&3; do echo "$offset" >acked.new && mv acked.new acked; done >/dev/null 2>&1 &
  acker=$!
  # Opened by a writer of our own first, because a pipe without one would block; from then on its end is the runner's.
  exec 8<>alive
  exec 7<alive 8>&-
  : >>log
  tail -c +$(($2 + 1)) -f log 3<&- 7<&- &
  tailer=$!
  exit_code . >/dev/null || cat <&7 >/dev/null
  kill $tailer $acker 2>/dev/null
}

finish() {
  n=0
  while [ ! -e "$1/drained" ] && [ $n -lt 20 ]; do pause; n=$((n + 1)); done
  boot=$(boot_id)
  truncated=no
  [ ! -e "$1/truncated" ] || truncated=yes
  echo "$(state_of "$1") $(elapsed_of "$1") $truncated"
  tail -c +$(($2 + 1)) "$1/log" 2>/dev/null || :
}

stop() {
  : >"$1/timeout"
  sync
  pid=$(cat "$1/run/pid")
  signal_group TERM "$pid"
  n=0
  while [ ! -e "$1/drained" ] && [ $n -lt 50 ]; do pause; n=$((n + 1)); done
  signal_group KILL "$pid"
  exit_code "$1" >/dev/null || record "$1" 137
}

signal_group() {
  kill -s "$1" -- "-$2" 2>/dev/null || kill -s "$1" "$2" 2>/dev/null
  if [ "$(id -u)" != 0 ]; then sudo -n kill -s "$1" -- "-$2" 2>/dev/null; fi
}

reboot_step() {
  if [ ! -s "$1/asked" ]; then boot_id >"$1/asked.new" && mv "$1/asked.new" "$1/asked" || exit 1; fi
  sync
  (
    trap '' HUP
    sh "$1/command" </dev/null >"$1/log" 2>&1
    echo $? >"$1/asked-exit"
  ) </dev/null >/dev/null 2>&1 &
  wait $!
  echo "asked $(cat "$1/asked-exit")"
  cat "$1/log"
}

operation=$1
[ $# -eq 0 ] || shift
case $operation in
status | prepare | start | run | script | follow | finish | stop) "$operation" "$@" ;;
mark) record "$1" "$2" ;;
reboot) reboot_step "$1" ;;
remove)
  while find_root "$1"; do
    rm -rf "$root" || exit 1
    rmdir "${root%/*}" 2>/dev/null
  done
  sync
  ;;
*) echo "supervisor: unknown operation \"$operation\"" >&2; exit 64 ;;
esac
exit
