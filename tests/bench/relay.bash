# What the proxy costs, beside servers that keep nothing: read by ./run.

# The proxy is in front of smtpd's own Sink, whose time is not its own. HAProxy passes octets on and understands none, so
# that it does not cost less than it and the server behind it.
relay() { # ROUNDS MESSAGES: the messages in percent
    local columns=(sequential pipelined recipients-pipelined text) servers=(floor smtpd proxy haproxy)
    local round column server count figure
    start floor && start smtpd && start proxy
    if command -v haproxy >/dev/null && is_there smtp-sink; then
        start smtp-sink && start haproxy
    else
        servers=(floor smtpd proxy)
        echo "Left out, not to be had here: HAProxy and smtp-sink"
    fi
    : >"$scratch/figures"
    for ((round = 0; round < $1; round++)); do
        for column in "${columns[@]}"; do
            [[ $column != sequential ]] || command -v smtp-source >/dev/null || continue
            for server in "${servers[@]}"; do
                [[ $server:$column != haproxy:[!t]* ]] || continue
                count=$(messages_of "$column" "$server" "$2")
                if figure=$(measure_with_sink "$column" "$server" "$count"); then
                    echo "$round $column $server $figure" >>"$scratch/figures"
                else
                    echo "Not measured: $server, $(name_of "$column"): $(tail -n 1 "$scratch/load")"
                fi
            done
        done
    done
    for server in "${!pid[@]}"; do
        stop "$server"
    done
    pid=()
    echo "Processor time of the proxy alone (smtpd -c PureProxy) in front of a Sink, and of HAProxy together with"
    echo "smtp-sink, for each message, as a multiple of the floor's: median (and range) of $1 rounds"
    echo
    print_table | sed -e 's/^| smtpd  /| Sink   /' -e '/^| goal/d'
    awk '
        { time[$1, $2, $3] = $4; rounds = $1 + 1 }
        END {
            for (i = 0; i < rounds; i++)
                if (time[i, "sequential", "smtpd"]) print time[i, "sequential", "proxy"] / time[i, "sequential", "smtpd"]
        }' "$scratch/figures" | sort -n | awk '{ all[NR] = $1 } END {
            if (NR > 0) printf "\n50 connections: %.2f times the Sink (%.2f to %.2f); the goal is 2.20. ", all[int((NR + 1) / 2)], all[1], all[NR]
            print "Text: the goal is 3 times the floor, and less than HAProxy with smtp-sink."
        }'
}

# measure_with_sink COLUMN ID MESSAGES: as measure; with HAProxy's time is that of the server behind it.
measure_with_sink() {
    local before after
    if [[ $2 != haproxy ]]; then
        measure "$@"
        return
    fi
    before=$(($(nanoseconds haproxy) + $(nanoseconds smtp-sink)))
    fire "$@" || return 1
    after=$(($(nanoseconds haproxy) + $(nanoseconds smtp-sink)))
    echo $(((after - before) / $3))
}

# relay_idle CONNECTIONS
relay_idle() {
    echo "Idle connections after EHLO, of a client to the proxy and of the proxy to a Sink: resident octets of the proxy"
    echo
    printf '| %-14s | %-10s |\n' "$1 idle" octets --- ---
    start smtpd
    memory proxy "$1"
    stop smtpd
    printf '| %-14s | %-10s |\n' "goal for proxy" 6144
}

# haproxy_settings PORT: on standard output.
haproxy_settings() {
    cat <<END
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
listen smtp
    bind 127.0.0.1:$1
    server sink 127.0.0.1:${port[smtp-sink]}
END
}
