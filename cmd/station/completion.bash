# What the completion below takes of the package bash-completion, for shells
# without it: the words of the line, where bash divides them at "=" and ":" too.
if ! declare -F _get_comp_words_by_ref >/dev/null; then
    _get_comp_words_by_ref() {
        local i w bare rest=${COMP_LINE:0:COMP_POINT}
        words=() cword=-1
        for ((i = 0; i <= COMP_CWORD; i++)); do
            w=${COMP_WORDS[i]}
            bare=${rest#"${rest%%[![:space:]]*}"}
            if ((cword < 0)) || [[ $bare != "$rest" || -z $rest && -z $w && ${COMP_LINE:COMP_POINT-1:1} == [[:space:]] ]]; then
                words[++cword]=$w
            else
                words[cword]+=$w
            fi
            rest=${bare#"$w"}
        done
        cur=${words[cword]}
        prev=
        ((cword > 0)) && prev=${words[cword-1]}
        return 0
    }
fi
