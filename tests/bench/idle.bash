# What connections cost that do nothing: read by ./run.

# idle CONNECTIONS ROUNDS MESSAGES: the messages in percent.
idle() {
    local limit wanted=$1
    limit=$(($(ulimit -n) - 500))
    if ((wanted > limit)); then
        echo "Only $limit idle connections: there are no descriptors for $wanted."
        wanted=$limit
    fi
    echo "Idle connections after EHLO: resident octets each"
    echo
    printf '| %-14s | %-10s |\n' "$wanted idle" octets --- ---
    memory floor "$wanted"
    memory tokio "$wanted"
    memory smtpd "$wanted"
    printf '| %-14s | %-10s |\n' "goal for smtpd" 2048
    echo
    beside $((wanted / 2)) "$2" "$3"
}

memory() { # SERVER CONNECTIONS
    local before after
    start "$1"
    # What is made once and kept is not the connections'.
    fire sequential "$1" 1000
    before=$(resident "$1")
    open_idle "$1" "$2"
    after=$(resident "$1")
    printf '| %-14s | %-10s |\n' "$1" $(((after - before) / $2))
    close_idle
    stop "$1"
}

resident() { # ID
    awk '$1 == "Rss:" { print 1024 * $2 }' "/proc/${pid[$1]}/smaps_rollup"
}

# Clients live as long as the other end of their input: also if this script is killed, they end.
idle_clients=()
open_idle() { # ID CONNECTIONS
    local client said
    [[ -p $scratch/input ]] || mkfifo "$scratch/input"
    exec {input}<>"$scratch/input"
    # Two, for one alone may not have as many descriptors as the server.
    for client in 1 2; do
        said=$scratch/idle$client
        taskset -c "$load_core" target/release/load idle "${port[$1]}" $(($2 / 2)) <"$scratch/input" {input}<&- >"$said" 2>&1 &
        started+=($!)
        idle_clients+=($!)
    done
    for _ in {1..300}; do
        [[ $(cat "$scratch"/idle[12]) != $'ready\nready' ]] || return 0
        sleep 0.1
    done
    die "idle connections: $(cat "$scratch"/idle[12])"
}

close_idle() {
    local client
    for client in "${idle_clients[@]}"; do
        end "$client"
    done
    idle_clients=()
    exec {input}<&-
}

# Two servers of a kind, one of which has the idle connections, in turns.
beside() { # CONNECTIONS ROUNDS MESSAGES
    local round count alone crowded
    command -v smtp-source >/dev/null || return 0
    start alone smtpd
    start crowded smtpd
    open_idle crowded "$1"
    count=$(messages_of sequential smtpd "$3")
    for ((round = 0; round < $2; round++)); do
        alone=$(measure sequential alone $count) && crowded=$(measure sequential crowded $count)
        echo "$crowded $alone"
    done | awk '{ print $1 / $2 }' | sort -n >"$scratch/ratios"
    close_idle
    stop alone
    stop crowded
    awk -v idle="$1" '{ all[NR] = $1 } END {
        printf "%d idle connections beside 50 active ones: %.2f times as much processor time ", idle, all[int((NR + 1) / 2)]
        printf "(%.2f to %.2f; the goal is 1.10)\n", all[1], all[NR]
    }' "$scratch/ratios"
}
