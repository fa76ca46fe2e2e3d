quoted() {
    local text=${1//\\/\\\\} code character escaped
    text=${text//\"/\\\"}
    for code in {1..31}; do
        printf -v character "\\x$(printf %x "$code")"
        printf -v escaped '\\u%04x' "$code"
        text=${text//"$character"/"$escaped"}
    done
    printf '"%s"' "$text"
}

if [[ $ENTRYPOINT_TYPE == bot ]]; then
    config=${BOT_CONFIG-$(cat "$BOT_CONFIG_FILE")} id=$BOT_ID
else
    config=${BACKTEST_CONFIG-$(cat "$BACKTEST_CONFIG_FILE")} id=$BACKTEST_ID
fi
{
    printf '{"id": "%s", "config": %s, "environment": {' "$id" "$config"
    separator=
    for name in $(compgen -e); do
        printf '%s"%s": ' "$separator" "$name"
        quoted "${!name}"
        separator=', '
    done
    printf '}}\n'
} >"$BOTDOCK_RESULT_FILE"
