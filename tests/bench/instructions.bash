# Instructions of smtpd-core in memory, counted by callgrind: read by ./run.

# The goal, and the gate, which only ever comes nearer to it: 3 % over what was counted last, where the goal is missed.
goal_of() {
    case $1 in
        construction) echo 500 ;;
        session) echo 4000 ;;
        text | empty) echo 0.5 ;;
        dots) echo 60 ;;
        *) echo - ;;
    esac
}
gate_of() {
    case $1 in
        session) echo 4800 ;;
        *) goal_of "$1" ;;
    esac
}

build_instructions() {
    # Chosen here, since RUSTFLAGS or a cargo configuration could name a newer processor.
    local build=(cargo build --quiet --locked --release -p instructions --target-dir target/baseline)
    RUSTFLAGS="-C target-cpu=x86-64" "${build[@]}" --features log
    cp target/baseline/release/instructions target/baseline/logged
    RUSTFLAGS="-C target-cpu=x86-64" "${build[@]}"
    mkdir -p target/callgrind
}

# callgrind WHAT [BINARY]: leaves its file in target/callgrind, and prints: instructions, octets, lines.
callgrind() {
    local counted=session divisors log argument=$1 binary=${2-target/baseline/release/instructions}
    case $1 in
        construction) counted=construction ;;
        text | dots | empty) counted=text ;;
        logged) argument=session binary=${2-target/baseline/logged} ;;
    esac
    # The C library chooses its memcpy by the processor: with all of this masked it is the one of the first x86-64.
    if ! log=$(GLIBC_TUNABLES=glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX2,-AVX,-AVX_Fast_Unaligned_Load,-SSSE3,-ERMS,-FSRM \
        timeout 120 valgrind --tool=callgrind --collect-atstart=no --toggle-collect="*counted_$counted*" --dump-instr=yes \
        --compress-pos=no --compress-strings=no --callgrind-out-file="target/callgrind/$1" "$binary" "$argument" 2>&1); then
        die "$log"
    fi
    divisors=$(grep -E '^[0-9]+ [0-9]+$' <<<"$log" || true)
    echo "$(sed -nE 's/^==[0-9]+== Collected : ([0-9]+)$/\1/p' <<<"$log") $divisors"
}

# row WHAT NAME COUNT UNIT: a line of the table; false if it is over its gate.
row() {
    awk -v name="$2" -v count="$3" -v unit="$4" -v goal="$(goal_of "$1")" -v gate="$(gate_of "$1")" 'BEGIN {
        printf "%-42s %9s   %-11s %7s\n", name, count, unit, goal
        if (gate != "-" && count > gate + 0) { print "  over the gate of " gate; exit 1 }
        if (goal != "-" && count > goal + 0) print "  short of the goal; the gate is " gate
    }'
}

per() {
    awk -v count="$1" -v divisor="$2" -v digits="$3" 'BEGIN { printf "%.*f", digits, count / divisor }'
}

instructions() {
    local status=0 what counts count octets lines pipelined
    [[ $(uname -m) == x86_64 ]] || { echo "the gates are for x86-64"; return 77; }
    command -v valgrind >/dev/null || { echo "valgrind is not installed"; return 77; }
    build_instructions
    echo "Instructions of smtpd-core in memory (baseline x86-64, release, fat LTO), counted by callgrind"
    echo
    printf '%-42s %9s   %-11s %7s\n' what count each goal
    for what in construction session logged pipelined recipients text empty dots; do
        counts=$(callgrind $what) || return 1
        read -r count octets lines <<<"$counts"
        case $what in
            construction) row $what "construction of a session" "$count" session ;;
            session) row $what "EHLO MAIL RCPT DATA 1 KiB . QUIT" "$count" session ;;
            logged) row $what "the same, with the feature log" "$count" session ;;
            pipelined) row $what "the same, pipelined" "$count" session && pipelined=$count ;;
            recipients) row $what "further RCPT, pipelined" "$(per $((count - pipelined)) 99 0)" command ;;
            text) row $what "10 MiB of text, lines of 78 octets" "$(per "$count" "$octets" 3)" octet ;;
            empty) row $what "10 MiB of empty lines" "$(per "$count" "$octets" 3)" octet ;;
            dots) row $what "10 MiB of lines that are .." "$(per "$count" "$lines" 1)" line ;;
        esac || status=1
    done
    return $status
}

# Two views: callgrind's own of who calls what, for which it must not know lines; and profile.py's.
profile() {
    local what=$1 binary=target/baseline/release/instructions
    build_instructions
    [[ $what != logged ]] || binary=target/baseline/logged
    callgrind "$what" >/dev/null
    cp target/callgrind/"$what" target/callgrind/lines
    objcopy --strip-debug $binary $binary-stripped
    callgrind "$what" $binary-stripped >/dev/null
    echo "By function, with all that it calls:"
    callgrind_annotate --inclusive=yes --threshold=100 target/callgrind/"$what" |
        sed -nE 's/ \[.*//; s/^ *([0-9,]+) \( *([0-9.]+)%\) .*:(smtpd_core::.*)/\1 \2 % \3/p' |
        while read -r count share _ name; do printf '%12s %5s %%  %s\n' "$count" "$share" "$name"; done
    echo
    python3 profile.py target/callgrind/lines $binary
}
