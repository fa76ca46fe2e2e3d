# Unpacks what a run needs: the parts of a tar.gz, which lie in the folder $1, into the folder $2. $3 is the bot's program,
# or empty where this is not the bot's image; $4 and $5 are where the bot will see `program` and `code`.
umask 0
cd -- "$2" || exit 1
cat -- "$1"/part* | gzip -dc | tar -xpf - || exit 1
[ -f private/whole ] || { # the last entry
    echo "what was delivered is cut off" >&2
    exit 1
}
case $3 in
'') exit 0 ;;
"$4"/*) [ -e "files/program/${3#"$4"/}" ] ;;
"$5"/*) [ -e "files/code/${3#"$5"/}" ] ;;
*) command -v "$3" >/dev/null ;;
esac || {
    echo "the image has no program $3" >&2
    exit 127
}
