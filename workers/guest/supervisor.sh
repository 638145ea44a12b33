# The supervisor of steps in a guest: POSIX sh, busybox too. It keeps a script running also when it loses the SSH session
# that started it, and lets any later session find out how it stands.
#
# A shell that the farm talks to by SSH (guest-shell.ts) reads this file and calls its functions; "answer" is given there.
#   load BUILD             begin, and end the connection that began before: prints "step N STATE CODE SECONDS KEPT" for each
#                          step; answers "loaded BOOT DIRECTORY KEY...", or "leaving": the guest goes down, nothing is to be
#                          started in it
#   begin N                start the step whose files were put, once only, detached; then as follow
#   follow N OFFSET        print its log from a byte on until it ends; answers as finish, or "over": ask finish then
#   finish N OFFSET        print the rest of its log; answers "ended STATE CODE SECONDS TRUNCATED KEY..."
#   keep N OFFSET          remember how much of the log the farm has stored
#   forget N               remove the files of a step that has ended; what came of it stays known
#   stop N                 end the step because its time is over
#   mark N CODE            record the end of a step that needs no process; answers "marked"
#   keys                   answers "keys KEY...": the public host keys that the guest will have after a reboot, if known
#   reboot N COMMAND       record the boot id, then run the command; answers "asked CODE"
#   remove                 remove all state; answers "removed"
# A KEY is the Base64 of a host key. As a program, in processes of their own: "run", "script".
#
# What has to survive a reboot is one line per step, $root/N: the boot id in which it began, its state and its code,
# written over the same reserved block, so that a full disk cannot lose it. Everything else is in memory (tmpfs) where the
# guest has some, because disks become images: in $memory, N.script, N.env, N.command (given); N.claim (taken by the one
# runner that may run), N.pid, N.start, N.end; N.log, N.kept, N.drained, N.truncated, N.timeout; "sessions", the processes of all
# connections that loaded this, the latest last; "alive", a pipe whose writer is the runner; "ask", a pipe by which another
# account asks for the files of the step.

# Sets $boot.
read_boot() {
  if ! read -r boot 2>/dev/null </proc/sys/kernel/random/boot_id; then
    boot=$(sysctl -n kern.boottime | tr -c 'A-Za-z0-9\n' '-')
  fi
}

# Sets $user: the number of the account.
read_user() {
  while read -r word user rest; do
    [ "$word" != Uid: ] || return 0
  done 2>/dev/null </proc/self/status
  user=$(id -u)
}

# Sets $now: seconds on a monotonic clock, where there is one.
read_clock() {
  if read -r now rest 2>/dev/null </proc/uptime; then now=${now%%.*}; else now=$(date +%s); fi
}

pause() { sleep 0.1 2>/dev/null || sleep 1; }

# own_directory BASE NAME: whether both directories are there and ours, made if need be. Other accounts may pass, but not look.
own_directory() {
  [ -d "${1%/*}" ] || return
  [ ! -e "$1" ] || [ -O "$1" ] || return
  if [ ! -d "$1/$2" ]; then
    umask 066
    mkdir -p "$1/$2"
    umask 077
  fi
  [ -O "$1" ] && [ -O "$1/$2" ]
}

in_memory() {
  while read -r device mount type rest; do
    if [ "$mount" = "$1" ] && [ "$type" = tmpfs ]; then return 0; fi
  done 2>/dev/null </proc/mounts
  return 1
}

# Sets $root: where the build's state is, or would be. Not under /tmp, which a reboot empties.
find_root() {
  bases=/var/tmp/.slipway-$user
  [ "$user" != 0 ] || bases="/var/lib/slipway $bases"
  for base in $bases; do
    root=$base/$build
    if [ -d "$root" ] && [ -O "$root" ]; then return; fi
  done
  root=${bases%% *}/$build
}

# Makes it where it can be.
make_root() {
  [ ! -d "$root" ] || return 0
  for base in $bases; do
    root=$base/$build
    own_directory "$base" "$build" && return
  done
}

# Sets $memory. What users have in /dev/shm goes when they log out, so they need a place that root gives them.
find_memory() {
  for base in /dev/shm/.slipway-$user /run/.slipway-$user; do
    in_memory "${base%/*}" || continue
    memory=$base/$build
    if [ "$user" = 0 ]; then
      own_directory "$base" "$build" && return
    elif [ "${base%/*}" = /run ]; then
      [ -d "$base" ] || sudo -n sh -c "mkdir -m 711 $base && chown $user $base" 2>/dev/null
      own_directory "$base" "$build" && return
    fi
  done
  make_root && memory=$root/memory && own_directory "$root" memory
}

# A quarter of what is free, at most 64 MiB.
find_log_cap() {
  # The head has seven words.
  # shellcheck disable=SC2046
  set -- $(df -Pk "$memory" 2>/dev/null)
  case ${11:-} in '' | *[!0-9]*) log_cap=16777216 ;; *) log_cap=$((${11} * 256)) ;; esac
  [ "$log_cap" -lt 67108864 ] || log_cap=67108864
}

# Sets $line: what the kernel reports of a process, behind the name of its program.
read_stat() {
  read -r line 2>/dev/null <"/proc/$1/stat" || return
  # The name, in parentheses, may hold anything.
  line=${line##*) }
}

# Sets $began: what distinguishes a process from a later one of its number.
read_start() {
  began=
  if read_stat "$1"; then
    # shellcheck disable=SC2086
    set -- $line
    began=${20}
  else began=$(ps -o lstart= -p "$1" 2>/dev/null); fi
}

# Ends the connections that have loaded this before: their workers may have been suspended, and send what was for the guest
# then. Ours is in the list before they end, so that the next one ends them and us if this is cut off.
take_over() {
  read_start "$PPID"
  session="$PPID $began"
  echo "$session" >>"$memory/sessions" || return
  while read -r former since && [ "$former $since" != "$session" ]; do
    read_start "$former"
    [ -n "$since" ] && [ "$began" = "$since" ] || continue
    kill -s KILL "$former" 2>/dev/null || sudo -n kill -s KILL "$former" 2>/dev/null || :
  done <"$memory/sessions"
}

load() {
  login_umask=$(umask)
  environment=$(export -p)
  umask 077
  LC_ALL=C
  read_user
  read_boot
  if going_down; then answer leaving; return; fi
  build=$1
  find_root
  find_memory && take_over || { answer refused; return; }
  find_log_cap
  listed_keys=$(sed -n 's/^[[:space:]]*[Hh][Oo][Ss][Tt][Kk][Ee][Yy][[:space:]]*//p' /etc/ssh/sshd_config 2>/dev/null)
  { [ -p "$memory/alive" ] || mkfifo "$memory/alive"; } &&
    printf '%s\n' "$environment" "umask $login_umask" >"$memory/environment" && umask 022 &&
    printf '%s' "$supervisor" >"$memory/supervisor.new" && umask 077 &&
    mv "$memory/supervisor.new" "$memory/supervisor.sh" || { answer refused; return; }
  trap 'kill $follower 2>/dev/null' EXIT
  for step in "$root"/[0-9]*; do
    [ -f "$step" ] || continue
    n=${step##*/}
    look "$n"
    kept=0
    read -r kept 2>/dev/null <"$memory/$n.kept"
    elapsed "$n"
    echo "step $n $state $code $took $kept"
  done
  host_keys
  answer "loaded $boot $memory$keys"
}

# Sets $keys: a blank and a key for each.
host_keys() {
  keys=
  for file in /etc/ssh/ssh_host_*_key $listed_keys; do
    [ -r "$file.pub" ] && read -r type key rest <"$file.pub" && keys="$keys $key"
  done
}

# After "cloud-init clean" the next boot makes other keys.
keys() {
  host_keys
  if [ -d /etc/cloud ] && [ ! -e /var/lib/cloud/instance ]; then keys=; fi
  answer "keys$keys"
}

# Writes over the reserved block.
record() { printf '%-120s\n' "$2 $3 $4" 1<>"$root/$1"; }

# Makes the record of a step, or finds it. A program of its own reports why it cannot where the shell does not (busybox).
reserve() {
  make_root || return
  [ -s "$root/$1" ] || printf '%-120s\n' '- prepared -' 2>/dev/null >"$root/$1"
  [ -s "$root/$1" ] || printf '%-120s\n' '- prepared -' | cat >"$root/$1"
}

# Whether a process runs: one that has ended, and that its parent has not waited for yet, does not.
lives() {
  kill -0 "$1" 2>/dev/null || return
  kind=
  read -r number name kind rest 2>/dev/null <"/proc/$1/stat"
  [ "$kind" != Z ]
}

# Sets $state and $code.
look() {
  state=prepared code=-
  read -r began_in state code rest 2>/dev/null <"$root/$1"
  case $state in
  '') state=prepared ;;
  exited)
    # A guest that goes down kills the script before it kills the runner, which may still record that.
    if [ "$code" -gt 128 ] && [ "$began_in" != "$boot" ]; then state=crashed code=-; fi
    ;;
  asked) if [ "$began_in" != "$boot" ]; then state=rebooted code=-; fi ;;
  running)
    pid=
    read -r pid 2>/dev/null <"$memory/$1.pid"
    if [ "$began_in" != "$boot" ]; then state=crashed
    elif ! lives "$pid"; then
      read -r began_in state code rest <"$root/$1"
      [ "$state" != running ] || state=died
    fi
    ;;
  esac
}

# Sets $took: the seconds that a step has run, or ran.
elapsed() {
  took=0
  read -r from 2>/dev/null <"$memory/$1.start" || return 0
  read_clock
  read -r now 2>/dev/null <"$memory/$1.end"
  took=$((now - from))
}

can_sudo() {
  [ -n "${sudo:-}" ] || if sudo -n true 2>/dev/null; then sudo=yes; else sudo=no; fi
  [ "$sudo" = yes ]
}

# Several launches do no harm: only the first runner gets past its claim.
launch() {
  self=$memory/supervisor.sh
  service='systemd-run --quiet --collect --no-ask-password -p KillMode=process -p TimeoutStopSec=5s'
  set -- run "$root" "$memory" "$1" "$log_cap"
  if [ -d /run/systemd/system ] && command -v systemd-run >/dev/null 2>&1; then
    # shellcheck disable=SC2086
    if [ "$user" = 0 ]; then
      $service sh "$self" "$@" >/dev/null 2>&1 && return
    elif can_sudo; then
      sudo -n $service "--uid=$user" "--gid=$(id -g)" sh "$self" "$@" >/dev/null 2>&1 && return
    fi
  fi
  if command -v setsid >/dev/null 2>&1; then
    setsid sh "$self" "$@" >/dev/null 2>&1 &
  else
    nohup sh "$self" "$@" >/dev/null 2>&1 &
  fi
}

begin() {
  # A writer of our own until the runner is there, because a pipe without one is at its end.
  exec 8<>"$memory/alive"
  launch "$1" 8>&-
  follow "$1" 0 up
  exec 8>&-
}

follow() {
  watch "$@" &
  follower=$!
}

watch() {
  trap 'kill $tailer 2>/dev/null; exit' TERM
  [ "$3" = up ] || exec 8<>"$memory/alive"
  exec 7<"$memory/alive"
  tail_log "$@" &
  tailer=$!
  # The runner reports when it is up; from then on its end is the end of the pipe.
  if [ "$3" = up ]; then read -r word <&7; fi
  exec 8>&-
  while read -r word <&7; do :; done
  n=0
  while [ ! -e "$memory/$1.drained" ] && [ $n -lt 24 ]; do
    if [ $n -lt 4 ]; then sleep 0.02 2>/dev/null || sleep 1; else pause; fi
    n=$((n + 1))
  done
  kill $tailer 2>/dev/null
  wait $tailer 2>/dev/null
  if [ -e "$memory/$1.tailed" ]; then answer over; else finish "$1" "$2"; fi
}

# What ends soon is read in one piece. A runner that never comes up must not be waited for.
tail_log() {
  exec 7<&- 8>&-
  [ ! -e "$memory/$1.tailed" ] || rm -f "$memory/$1.tailed"
  sleep 0.5 2>/dev/null
  n=0
  while [ "$3" = up ] && [ ! -e "$memory/$1.claim.$boot" ]; do
    [ $n -lt 300 ] || { echo late 1<>"$memory/alive"; exit; }
    pause
    n=$((n + 1))
  done
  : >>"$memory/$1.log"
  : >"$memory/$1.tailed"
  exec tail -c +$(($2 + 1)) -f "$memory/$1.log"
}

finish() {
  look "$1"
  # A runner that could not write its record (a disk that is read-only) is there for a moment after it has let go of the pipe.
  n=0
  while [ "$state" = running ] && [ $n -lt 20 ]; do pause; n=$((n + 1)); look "$1"; done
  truncated=no
  [ ! -e "$memory/$1.truncated" ] || truncated=yes
  if [ ! -s "$memory/$1.log" ]; then :
  elif [ "$2" = 0 ]; then cat "$memory/$1.log"
  else tail -c +$(($2 + 1)) "$memory/$1.log"; fi
  elapsed "$1"
  host_keys
  answer "ended $state $code $took $truncated$keys"
}

keep() { printf '%-20s\n' "$2" 1<>"$memory/$1.kept"; }

forget() { rm -f "$memory/$1".*; }

mark() {
  reserve "$1" && record "$1" - exited "$2" || { answer refused; return; }
  answer marked
}

stop() {
  : >"$memory/$1.timeout"
  read -r pid <"$memory/$1.pid"
  signal_group TERM "$pid"
  n=0
  while [ ! -e "$memory/$1.drained" ] && [ $n -lt 50 ]; do pause; n=$((n + 1)); done
  record "$1" "$boot" timeout -
  signal_group KILL "$pid"
}

signal_group() {
  kill -s "$1" -- "-$2" 2>/dev/null || kill -s "$1" "$2" 2>/dev/null
  if [ "$user" != 0 ]; then sudo -n kill -s "$1" -- "-$2" 2>/dev/null; fi
}

reboot() {
  reserve "$1" && record "$1" "$boot" asked - || { answer refused; return; }
  sync
  (trap '' HUP TERM; exec sh -c "$2")
  code=$?
  record "$1" "$boot" asked $code
  answer "asked $code"
}

remove() {
  trap - EXIT
  set -- /var/lib/slipway /var/tmp/.slipway-"$user" "${memory%/*}"
  rm -rf "$1/${build:?}" "$2/$build" "${3:?}/$build" || { answer refused; return; }
  rmdir "$@" 2>/dev/null
  [ "$user" = 0 ] || sudo -n rmdir "/run/.slipway-$user" 2>/dev/null
  answer removed
}

# The detached runner of a step.
run() {
  root=$1 memory=$2 n=$3 log_cap=$4 files=$2/$3
  trap '' HUP TERM
  umask 077
  LC_ALL=C
  cd /
  read_boot
  set -C
  true 2>/dev/null >"$files.claim.$boot" || { echo up 1<>"$memory/alive"; exit; }
  set +C
  (
    # The script gets the default action back; the runner lives on to record how it ended.
    trap : TERM
    exec 9<>"$memory/alive"
    echo up >&9
    echo $$ >"$files.pid"
    read_clock
    echo "$now" >"$files.start"
    record "$n" "$boot" running -
    sync "$root/$n" 2>/dev/null || sync
    if [ -s "$files.command" ]; then
      # There before anybody asks; who opens it then waits for the other end.
      { [ -p "$memory/ask" ] || mkfifo "$memory/ask"; } && chmod 622 "$memory/ask"
      hand_over &
      helper=$!
    fi
    (
      exec 9>&-
      . "$memory/environment"
      cd "$HOME" 2>/dev/null || cd /
      # The environment may have set any variable.
      if [ -s "$2/$3.command" ]; then exec sh "$2/$3.command"; fi
      script "$2/$3"
    ) </dev/null
    code=$?
    # A guest that goes down ends its processes first: that is no end of the script's own.
    if [ $code -gt 128 ] && [ ! -e "$files.timeout" ]; then
      sleep 3
      if going_down; then exit; fi
    fi
    kill $helper 2>/dev/null
    read_clock
    echo "$now" >"$files.end"
    if [ -e "$files.timeout" ]; then record "$n" "$boot" timeout -; else record "$n" "$boot" exited $code; fi
  ) 2>&1 | keep_log "$files"
}

going_down() {
  if [ -d /run/systemd/system ]; then
    [ "$(systemctl is-system-running 2>/dev/null)" = stopping ]
    return
  fi
  if command -v runlevel >/dev/null 2>&1; then
    case "$(runlevel 2>/dev/null) " in *' 0 '* | *' 6 '*) return 0 ;; esac
  fi
  command -v rc-status >/dev/null 2>&1 || return
  case $(rc-status -r 2>/dev/null) in *shutdown | *reboot) return 0 ;; esac
  return 1
}

# The head of the output goes to the log as it comes; the script is never held up by what is beyond.
keep_log() {
  trap ': >"$1.drained"; exit' TERM
  size=0
  while [ "$size" -lt "$log_cap" ]; do
    LC_ALL=C dd bs=65536 count=128 2>"$1.read" >>"$1.log" || break
    while read -r records rest; do
      case $records in [0-9]*+[0-9]*) break ;; esac
    done <"$1.read"
    # Fewer than asked for: the output is over.
    if [ $((${records})) -lt 128 ]; then
      : >"$1.drained"
      return
    fi
    # shellcheck disable=SC2012,SC2046
    set -- "$1" $(ls -ln "$1.log")
    size=$6
  done
  : >"$1.truncated"
  cat >/dev/null
  : >"$1.drained"
}

# What {{ .Command }} stands for, as the account that the command of the step has become. By its interpreter, because the
# file may be where nothing can be executed. Variables of its own would be the script's: only arguments are safe.
script() {
  if [ ! -r "$1.script" ] || [ ! -r "$1.env" ]; then ask_for "$1"; fi
  slipway_line=
  IFS= read -r slipway_line <"$1.script"
  case $slipway_line in
  '#!'*)
    set -f
    # shellcheck disable=SC2086
    set -- "$1" ${slipway_line#??}
    set +f
    interpreted "$@"
    ;;
  *)
    . "$1.env"
    if command -v bash >/dev/null 2>&1; then exec bash "$1.script"; fi
    exec sh "$1.script"
    ;;
  esac
}

# interpreted FILES [PROGRAM WORD...]: as the kernel reads a first line, except that env gets its words one by one, with -S
# or without.
interpreted() {
  slipway_files=$1
  slipway_program=${2:-sh}
  shift
  [ $# -eq 0 ] || shift
  case $slipway_program in
  */env)
    case ${1:-} in
    -S) shift ;;
    -S?*) slipway_line=${1#-S} && shift && set -- "$slipway_line" "$@" ;;
    esac
    ;;
  *) [ $# -eq 0 ] || set -- "$*" ;;
  esac
  set -- "$slipway_files" "$slipway_program" "$@" "$slipway_files.script"
  . "$1.env"
  shift
  exec "$@"
}

ask_for() {
  echo $$ >"${1%/*}/ask" || exit 126
  slipway_n=0
  until [ -r "$1.script" ] && [ -r "$1.env" ]; do
    if [ -e "$1.refused" ]; then cat "$1.refused" >&2 && exit 126; fi
    if [ $slipway_n -ge 300 ]; then echo 'slipway: the files of the step did not arrive' >&2 && exit 126; fi
    pause
    slipway_n=$((slipway_n + 1))
  done
}

# Gives the files of the step to the account of a process that asks and that the step has started, and to no other.
hand_over() {
  exec 9>&-
  exec 6<>"$memory/ask"
  while read -r pid <&6; do
    case $pid in '' | *[!0-9]*) continue ;; esac
    descends "$pid" || continue
    # shellcheck disable=SC2012,SC2046
    set -- $(ls -ldn "/proc/$pid")
    give "$3" || {
      echo "slipway: the account of number $3 cannot read the step: $(id -un) can give it no file (neither sudo without a password nor setfacl)" >"$files.new"
      chmod 644 "$files.new"
      mv "$files.new" "$files.refused"
    }
  done
}

give() {
  if [ "$(id -u)" = 0 ]; then chown "$1" "$files.script" "$files.env"
  else sudo -n chown "$1" "$files.script" "$files.env" 2>/dev/null || setfacl -m "u:$1:r" "$files.script" "$files.env" 2>/dev/null; fi
}

# Whether the runner is an ancestor of a process.
descends() {
  ancestor=$1
  while [ "$ancestor" -gt 1 ]; do
    [ "$ancestor" != $$ ] || return 0
    read_stat "$ancestor" || return 1
    line=${line#* }
    ancestor=${line%% *}
  done
  return 1
}

case ${1:-} in
run | script) "$@" ;;
esac
