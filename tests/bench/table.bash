# Processor time for each message as a multiple of the floor's, measured in the same round: read by ./run.

columns=(sequential pipelined connections recipients recipients-pipelined text empty dots)

name_of() {
    case $1 in
        sequential) echo "50 connections" ;;
        pipelined) echo "pipelined" ;;
        connections) echo "new connection each" ;;
        recipients) echo "100 RCPT" ;;
        recipients-pipelined) echo "100 RCPT pipelined" ;;
        text) echo "10 MiB of text" ;;
        empty) echo "10 MiB, empty lines" ;;
        dots) echo "10 MiB, .. lines" ;;
    esac
}

goal_in_table() {
    case $1 in
        sequential | connections | recipients) echo 1.25 ;;
        pipelined) echo 1.30 ;;
        recipients-pipelined) echo 1.50 ;;
        text | empty) echo 1.6 ;;
        dots) echo 15 ;;
    esac
}

# messages_of COLUMN SERVER PERCENT: some hundred milliseconds, and enough for each of 50 connections that to connect does
# not count. More rounds tell more than more messages.
messages_of() {
    local count divisor=1
    case $1 in
        sequential) count=4000 ;;
        pipelined) count=6000 ;;
        connections) count=1500 ;;
        recipients) count=200 ;;
        recipients-pipelined) count=3000 ;;
        text | empty | dots) count=16 ;;
    esac
    # Those that take longer get by with fewer.
    case $2:$1 in
        floor:* | tokio:* | smtpd:* | proxy:*) ;;
        mailin:pipelined | mailin:recipients-pipelined | python:recipients) divisor=4 ;;
        python:recipients-pipelined) divisor=20 ;;
        python:text | python:empty | python:dots) divisor=8 ;;
        smtp-sink:text | haproxy:text | *:empty | *:dots) divisor=4 ;;
        mailin:* | python:*) divisor=2 ;;
    esac
    count=$((count * $3 / 100 / divisor))
    echo $((count > 1 ? count : 1))
}

# fire COLUMN ID MESSAGES: they have 1 KiB, or 10 MiB. Postfix's client where it can, for it is nobody's own.
fire() {
    local at=127.0.0.1:${port[$2]} send=(target/release/load send "${port[$2]}")
    case $1 in
        sequential) load 20 smtp-source -d -s 50 -m "$3" -l 1024 "$at" ;;
        connections) load 20 smtp-source -s 50 -m "$3" -l 1024 "$at" ;;
        recipients) load 20 smtp-source -d -s 50 -m "$3" -l 1024 -r 100 "$at" ;;
        pipelined) load 20 "${send[@]}" pipelined 50 "$3" 1 usual 1024 ;;
        recipients-pipelined) load 20 "${send[@]}" pipelined 50 "$3" 100 usual 1024 ;;
        text) load 20 "${send[@]}" lockstep 1 "$3" 1 usual 10485760 ;;
        empty | dots) load 20 "${send[@]}" lockstep 1 "$3" 1 "$1" 10485760 ;;
    esac
}

# measure COLUMN ID MESSAGES: prints nanoseconds for each message; false if the server does not get through.
measure() {
    local before after
    before=$(nanoseconds "$2")
    fire "$@" || return 1
    after=$(nanoseconds "$2")
    echo $(((after - before) / $3))
}

# table ROUNDS SECONDS MESSAGES: the messages in percent. As many rounds as the time allows, but one at least.
table() {
    local rounds=$1 seconds=$2 percent=$3 begin=$SECONDS round_begin round=0 column server count figure
    local -A fails
    command -v smtp-source >/dev/null || { echo "No table: smtp-source is not installed (Debian: postfix)"; return; }
    : >"$scratch/figures"
    for server in "${servers[@]}"; do
        start "$server"
    done
    while ((round < rounds)); do
        round_begin=$SECONDS
        for column in "${columns[@]}"; do
            for server in "${servers[@]}"; do
                [[ -z ${fails[$column $server]-} ]] || continue
                # Much too slow a machine, or servers that hang: what is there by then is the table.
                ((SECONDS - begin <= seconds + 40)) || continue
                count=$(messages_of "$column" "$server" "$percent")
                if figure=$(measure "$column" "$server" "$count"); then
                    echo "$round $column $server $figure" >>"$scratch/figures"
                else
                    fails[$column $server]=1
                    echo "$server, $(name_of "$column"): $(tail -n 1 "$scratch/load")" >>"$scratch/fails"
                fi
            done
        done
        round=$((round + 1))
        ((SECONDS - begin + SECONDS - round_begin <= seconds)) || break
    done
    for server in "${servers[@]}"; do
        stop "$server"
    done
    echo "Processor time for each message, as a multiple of the floor's: median (and range) of $round rounds"
    echo
    print_table
    [[ ! -s $scratch/fails ]] || { echo && sed 's/^/Not measured: /' "$scratch/fails"; }
}

# A table in Markdown; the floor's first line is its time itself.
print_table() {
    local column names=() goals=()
    for column in "${columns[@]}"; do
        names+=("$(name_of "$column")") goals+=("$(goal_in_table "$column")")
    done
    awk -v columns="${columns[*]}" -v servers="${servers[*]}" -v names="$(IFS='|' && echo "${names[*]}")" \
        -v goals="${goals[*]}" '
        { time[$1, $2, $3] = $4; if ($1 >= rounds) rounds = $1 + 1 }
        # Of the rounds that have both: median, least and most, in `digits` decimals; unit 0 is the floor of the round.
        function cell(column, server, unit, digits, all, n, i, j, t, base) {
            n = 0
            for (i = 0; i < rounds; i++) {
                base = unit ? unit : time[i, column, "floor"]
                if (!((i, column, server) in time) || !base) continue
                t = time[i, column, server] / base
                for (j = n++; j > 0 && all[j - 1] > t; j--) all[j] = all[j - 1]
                all[j] = t
            }
            if (n == 0) return "-"
            t = n % 2 ? all[(n - 1) / 2] : (all[n / 2 - 1] + all[n / 2]) / 2
            return sprintf("%.*f (%.*f to %.*f)", digits, t, digits, all[0], digits, all[n - 1])
        }
        function line(first, cells, i, row) {
            row = sprintf("| %-19s |", first)
            for (i = 1; i <= n_columns; i++) row = row sprintf(" %-21s |", cells[i])
            print row
        }
        END {
            n_columns = split(columns, column, " ")
            n_servers = split(servers, server, " ")
            split(names, cells, "|")
            line("", cells)
            for (i = 1; i <= n_columns; i++) cells[i] = "---"
            line("---", cells)
            for (i = 1; i <= n_columns; i++) cells[i] = cell(column[i], "floor", 1000, 1)
            line("floor, microseconds", cells)
            for (s = 2; s <= n_servers; s++) {
                for (i = 1; i <= n_columns; i++) cells[i] = cell(column[i], server[s], 0, 2)
                line(server[s], cells)
            }
            split(goals, cells, " ")
            for (i = 1; i <= n_columns; i++) cells[i] = "at most " cells[i]
            line("goal for smtpd", cells)
        }' "$scratch/figures"
}
