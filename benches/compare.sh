#!/bin/bash
# Times logscan beside other tools on one file of text, in the layout istio-1.9 behind stern's words (see generate.rs):
#
#   benches/compare.sh g.log [ROUNDS]
#
# Every round runs every command once, so that a slow spell of the machine hits all of them; medians and what was answered are
# printed. A tool that is not there is left out. LOGSCAN names another binary, DuckDB and polars are those of PYTHON.
set -u
log=${1:?usage: compare.sh LOG [ROUNDS]}
rounds=${2:-3}
logscan=${LOGSCAN:-target/release/logscan}
python=${PYTHON:-python3}
room=$(mktemp -d)
trap 'rm -rf "$room"' EXIT

names=()
declare -A commands
add() { # NAME NEEDS COMMAND
    if eval "$2" >"$room/there" 2>&1; then
        names+=("$1")
        commands[$1]=$3
    else
        echo "left out: $1" >&2
    fi
}

add 'wc -l' 'command -v wc' 'wc -l <"$log"'
add 'ripgrep, one word' 'command -v rg' 'rg -c PassthroughCluster "$log"'
add 'mawk, count by cluster' 'command -v mawk' \
    'mawk -F\" '\''{split($15, t, " "); n[t[1]]++} END {for (c in n) k++; print k}'\'' "$log"'

# A pair is a key that came twice: the request id, else both ends on the wire.
add 'mawk, join' 'command -v mawk' \
    'mawk -F\" '\''{split($15, t, " "); k = $10 != "-" ? $10 : t[1] ~ /^[iI]nbound/ ? t[4] " " t[3] : t[2] " " $14
        if (k in n) {p++; delete n[k]} else n[k]} END {print p}'\'' "$log"'

cat >"$room/join-duckdb.py" <<'PYTHON'
import duckdb, sys
query = """
with parts as (select string_split(line, '"') as q from read_csv(?, columns = {'line': 'varchar'}, delim = '\x01', quote = '',
               escape = '', header = false, auto_detect = false, ignore_errors = true)),
     ends as (select q, string_split(trim(q[15]), ' ') as t from parts where len(q) >= 15),
     keys as (select case when q[10] <> '-' then q[10] when t[1] ilike 'inbound%' then t[4] || ' ' || t[3]
              else t[2] || ' ' || q[14] end as k from ends)
select count(*) from (select k from keys group by k having count(*) = 2)"""
print(duckdb.execute(query, [sys.argv[1]]).fetchone()[0])
PYTHON
add 'DuckDB, join' '$python -c "import duckdb"' '$python "$room/join-duckdb.py" "$log"'

cat >"$room/join-polars.py" <<'PYTHON'
import polars, sys
col = polars.col
lines = polars.scan_csv(sys.argv[1], has_header=False, new_columns=["line"], separator="\x01", quote_char=None, encoding="utf8-lossy")
q = lines.select(col("line").str.split('"').alias("q")).filter(col("q").list.len() >= 15)
t = q.with_columns(col("q").list.get(14).str.strip_chars().str.split(" ").alias("t"))
at = lambda list, number: col(list).list.get(number, null_on_oob=True)
key = (polars.when(at("q", 9) != "-").then(at("q", 9))
       .when(at("t", 0).str.contains("^[iI]nbound")).then(at("t", 3) + " " + at("t", 2))
       .otherwise(at("t", 1) + " " + at("q", 13)))
pairs = t.select(key.alias("k")).group_by("k").len().filter(col("len") == 2).select(polars.len())
print(pairs.collect(engine="streaming").item())
PYTHON
add 'polars, join' '$python -c "import polars"' '$python "$room/join-polars.py" "$log"'

add 'jq, count by cluster' 'command -v jq' \
    'jq -nR '\''reduce inputs as $l ({}; .[$l / "\"" | .[14] // "" | ltrimstr(" ") / " " | .[0] // ""] += 1) | length'\'' "$log"'
add 'GoAccess, HTTP report' 'command -v goaccess' \
    'goaccess "$log" --no-progress --no-global-config --date-format=%Y-%m-%d --time-format=%T -o "$room/report.json" --log-format \
        '\''%^ %^ [%dT%t.%^] "%r" %s %^ %^ %^ "%^" %^ %b %L %^ "%^" "%u" "%^" "%v" "%h:%^" %^'\'' && echo report'

mkdir -p "$room/lnav/formats/envoy"
cat >"$room/lnav/formats/envoy/envoy.json" <<'JSON'
{"envoy": {"title": "istio-1.9", "timestamp-field": "timestamp", "regex": {"line": {"pattern":
"^(?<pod>\\S+) (?<container>\\S+) \\[(?<timestamp>[^\\]]+)\\] \"(?<body>[^\"]*)\".*\" (?<cluster>\\S+) \\S+ \\S+ \\S+ \\S+ \\S+$"}},
"value": {"pod": {"kind": "string"}, "container": {"kind": "string"}, "cluster": {"kind": "string"}},
"sample": [{"line": "a b [2024-05-28T23:49:59.957Z] \"- - -\" 0 \"x\" c 1 2 3 - -"}]}}
JSON
add 'lnav, count by cluster' 'command -v lnav' \
    'lnav -N -n -I "$room/lnav" -c ";SELECT count(DISTINCT cluster) FROM envoy" -c ":write-csv-to -" "$log" | tail -1'

for threads in 1 2; do
    add "logscan, everything, $threads" '[ -x "$logscan" ]' \
        "\"\$logscan\" --threads $threads -o json \"\$log\" >\"\$room/report\"; grep -o '\"paired\": *[0-9]*' \"\$room/report\" | head -1"
done

cat "$log" >"$room/there"
rm "$room/there"
TIMEFORMAT=%R
for ((round = 0; round < rounds; round++)); do
    for number in "${!names[@]}"; do
        # A tool that stands still must not hold up the others.
        { time timeout 600 bash -c "log=\$1; room=\$2; logscan=\$3; python=\$4; ${commands[${names[number]}]}" - \
            "$log" "$room" "$logscan" "$python" >"$room/answer-$number" 2>"$room/errors-$number"; } 2>>"$room/times-$number"
    done
done
printf '%-28s %9s  %s\n' command seconds answer
for number in "${!names[@]}"; do
    median=$(sort -n "$room/times-$number" | sed -n "$(((rounds + 1) / 2))p")
    printf '%-28s %9s  %s\n' "${names[number]}" "$median" "$(tail -c 60 "$room/answer-$number" | tail -1)"
done
