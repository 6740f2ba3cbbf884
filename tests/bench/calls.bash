# System calls for each message, on one connection: read by ./run.

# Few, for some take 40 ms each: two replies in two writes wait for a delayed ACK.
traced_messages=200

calls() {
    local server shape none some
    command -v strace >/dev/null || { echo "No system calls: strace is not installed"; return; }
    echo "System calls for each message of 1 KiB on one connection, counted by strace"
    echo
    printf '| %-14s | %-10s | %-10s |\n' "" sequential pipelined --- --- ---
    for server in "${servers[@]}"; do
        start "$server"
        printf '| %-14s |' "$server"
        for shape in lockstep pipelined; do
            # What a connection costs in any case is not the messages'.
            if none=$(traced "$server" $shape 0) && some=$(traced "$server" $shape $traced_messages); then
                awk -v calls=$((some - none)) -v messages=$traced_messages 'BEGIN { printf " %-10.1f |", calls / messages }'
            else
                printf ' %-10s |' -
            fi
        done
        echo
        stop "$server"
    done
    printf '| %-14s | %-10s | %-10s |\n' "goal for smtpd" 12 6
}

# traced ID SHAPE MESSAGES: system calls of a connection with so many messages; false if it does not get through.
traced() {
    local counts=$scratch/calls said=$scratch/strace tracer status=0
    : >"$said"
    strace -f -c -o "$counts" -p "${pid[$1]}" 2>"$said" &
    tracer=$!
    # It says so once it has the process, threads follow at once.
    for _ in {1..100}; do
        [[ ! -s $said ]] || break
        sleep 0.05
    done
    sleep 0.1
    load 20 target/release/load send "${port[$1]}" "$2" 1 "$3" 1 usual 1024 || status=1
    sleep 0.1
    kill -INT $tracer 2>/dev/null || status=1
    wait $tracer || true
    awk '$NF == "total" { print $4 }' "$counts"
    return $status
}
