# Becomes the bot's script. It lies beside `environment`, is the same for every bot, and prints nothing of its own.
# Where a FIFO named `ready` lies beside it, it waits there first: when its end comes, everything else is there.
here=${BASH_SOURCE[0]%/*}
if [[ -p $here/ready ]]; then
    while IFS= read -r _; do :; done <"$here/ready"
fi

mapfile -d '' -t variables <"$here/environment"
for variable in "${variables[@]}"; do
    case $variable in
    CODE_MOUNT_DIR=*) tree=${variable#*=} ;;
    SCRIPT_PATH=*) script=${variable#*=} ;;
    esac
done
cd -- "$tree" || exit 126
unset OLDPWD

# `env` and not `export`: bash refuses to set variables such as UID. Its own full path: PATH may be among the variables.
exec env -- "${variables[@]}" "$BASH" "$script"
