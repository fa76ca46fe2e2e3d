# A job in bash: it sums up a ledger, prints a table, and leaves its result as JSON.
set -euo pipefail

declare -A totals
count=0
while IFS=, read -r symbol quantity price; do
    [[ $symbol == symbol ]] && continue
    totals[$symbol]=$((${totals[$symbol]:-0} + quantity * price))
    count=$((count + 1))
done <ledger.csv

report=""
for symbol in $(printf '%s\n' "${!totals[@]}" | sort); do
    printf '%-4s %8d\n' "$symbol" "${totals[$symbol]}"
    report+="${report:+, }\"$symbol\": ${totals[$symbol]}"
done
printf '{"entries": %d, "totals": {%s}}\n' "$count" "$report" >"$BOTDOCK_RESULT_FILE"
