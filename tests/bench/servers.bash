# The servers that are compared, each on the first core, their load on the last: read by ./run.

servers=(floor tokio smtpd smtp-sink mailin python)

# Limits that a benchmark exceeds: all its connections have one address, and they go on longer than any client's.
lifted=(--max-connections 0 --max-connections-per-address 0 --max-commands 0)

# The command of a server that accepts everything and keeps nothing; what can choose its port writes it to the file.
command_of() { # NAME PORT-FILE
    case $1 in
        floor | tokio) command=("target/release/$1" "$2") ;;
        smtpd) command=("${SMTPD:-../../target/release/smtpd}" -n -c Sink --port-file "$2" "${lifted[@]}" 127.0.0.1:0) ;;
        # In front of what is called smtpd, which has to run.
        proxy) command=("${SMTPD:-../../target/release/smtpd}" -n -c PureProxy --open-relay --port-file "$2" "${lifted[@]}" 127.0.0.1:0
            "127.0.0.1:${port[smtpd]}") ;;
        haproxy)
            target/release/load free-port >"$2"
            haproxy_settings "$(<"$2")" >"$2.cfg"
            command=(haproxy -db -f "$2.cfg")
            ;;
        mailin) command=(target/mailin/release/rival-mailin "$2") ;;
        python) command=(/usr/bin/python3 -W ignore python_sink.py "$2") ;;
        smtp-sink)
            target/release/load free-port >"$2"
            command=(smtp-sink -m 20000 "127.0.0.1:$(<"$2")" 1024)
            # Root has to name another user.
            ((EUID != 0)) || command=(smtp-sink -u nobody "${command[@]:1}")
            ;;
    esac
}

# Whether a server can be had here.
is_there() {
    case $1 in
        floor | tokio | smtpd) true ;;
        mailin) [[ -x target/mailin/release/rival-mailin ]] ;;
        python) /usr/bin/python3 -W ignore -c 'import smtpd' 2>/dev/null ;;
        smtp-sink) command -v smtp-sink >/dev/null ;;
    esac
}

build() {
    local name there=()
    PATH=$PATH:/usr/sbin
    cargo build --quiet --locked --release -p bench --target-dir target
    [[ -n ${SMTPD-} ]] ||
        cargo build --quiet --locked --release --manifest-path ../../Cargo.toml --bin smtpd --target-dir ../../target
    # Also where the rival can't be built, the rest can be measured.
    timeout 600 cargo build --quiet --locked --release --manifest-path mailin/Cargo.toml --target-dir target/mailin ||
        rm -f target/mailin/release/rival-mailin
    for name in "${servers[@]}"; do
        if is_there "$name"; then there+=("$name"); else echo "Left out, not to be had here: $name"; fi
    done
    servers=("${there[@]}")
    # Thousands of connections; the hard limit may be all there is.
    ulimit -n "$(ulimit -Hn)"
    cores
}

# Server and load must not compete, where there are two cores.
cores() {
    local allowed
    allowed=$(taskset -cp $$ | sed 's/.*: //')
    server_core=${allowed%%[,-]*} load_core=${allowed##*[,-]}
    [[ $server_core != "$load_core" ]] || echo "Only one core: server and load share it, so the figures mean little."
}

describe() {
    echo "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(nproc) cores, Linux $(uname -r)"
    echo
}

# --- Processes ------------------------------------------------------------------------------------------------------

scratch=$(mktemp -d)
declare -A pid port
# What is to be ended whatever happens, by its id.
started=()
trap finish EXIT
trap 'exit 130' INT TERM

finish() {
    ((${#started[@]} == 0)) || kill -KILL "${started[@]}" 2>/dev/null || true
    wait 2>/dev/null
    rm -rf "$scratch"
}

# start ID [NAME]: starts the server NAME; more than one of a kind have different ids.
start() {
    local id=$1 file=$scratch/$1.port
    command_of "${2-$1}" "$file"
    taskset -c "$server_core" "${command[@]}" >"$scratch/$id.log" 2>&1 &
    pid[$id]=$!
    started+=($!)
    for _ in {1..100}; do
        if [[ -s $file ]] && { : <"/dev/tcp/127.0.0.1/$(<"$file")"; } 2>/dev/null; then
            port[$id]=$(<"$file")
            return
        fi
        sleep 0.1
    done
    die "$id does not start: $(<"$scratch/$id.log")"
}

stop() { # ID
    end "${pid[$1]}"
}

# end PID: at once, for some would wait for their clients.
end() {
    local left=() other
    kill -KILL "$1" 2>/dev/null || true
    wait "$1" 2>/dev/null || true
    for other in "${started[@]}"; do
        [[ $other == "$1" ]] || left+=("$other")
    done
    started=("${left[@]}")
}

# load SECONDS COMMAND...: a load generator on its core, which may take so long; what it said is in $scratch/load.
load() {
    local seconds=$1
    shift
    timeout "$seconds" taskset -c "$load_core" "$@" >"$scratch/load" 2>&1 && return
    [[ $? != 124 ]] || echo "took more than $seconds s" >"$scratch/load"
    return 1
}

# nanoseconds ID: processor time of all threads of a server so far, its system calls included. The scheduler counts
# it exactly; utime and stime of /proc are ticks of 10 ms.
nanoseconds() {
    # Whatever the last client left behind is done by then.
    sleep 0.03
    cat /proc/"${pid[$1]}"/task/*/schedstat | awk '{ sum += $1 } END { printf "%.0f\n", sum }'
}
