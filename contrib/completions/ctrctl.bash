# bash completion for ctrctl. File names are completed where ctrctl has nothing to offer.
_ctrctl() {
    local words line="${COMP_LINE:0:COMP_POINT}" IFS=$' \t'
    read -ra words <<<"$line"
    [[ $line == *[[:blank:]] ]] && words+=("")
    local current="${words[-1]}" IFS=$'\n'
    COMPREPLY=($(ctrctl completion words -- "${words[@]:1}" 2>/dev/null | cut -f1))
    # readline takes ':' and '=' as the start of a new word; image names have the one, filters the other.
    local kept="${current%"${current##*[:=]}"}"
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
}
complete -o default -F _ctrctl ctrctl
