/**
 * The shells' side of completion. Each script runs `varve __complete WORD…`, where the last word is the one being typed, and
 * reads a candidate from each line. The single line `:files` makes the shell complete paths by itself.
 */

const bash = `# varve completion for bash
_varve() {
  # bash splits words at ":" and "=", which occur in image names and options, so the line is split here instead.
  local line="\${COMP_LINE:0:COMP_POINT}" words candidates
  read -ra words <<<"$line"
  [[ "$line" == *[[:space:]] ]] && words+=("")
  local typed="\${words[-1]}"
  mapfile -t candidates < <(varve __complete "\${words[@]:1}" 2>/dev/null)
  if [[ "\${candidates[0]-}" == ":files" ]]; then
    compopt -o filenames
    mapfile -t COMPREPLY < <(compgen -f -- "$typed")
    return
  fi
  local cut="\${typed%"\${typed##*[:=]}"}"
  COMPREPLY=("\${candidates[@]#"$cut"}")
}
complete -F _varve varve
`

const zsh = `#compdef varve
# varve completion for zsh
_varve() {
  local -a candidates
  candidates=("\${(@f)$(varve __complete "\${(@)words[2,CURRENT]}" 2>/dev/null)}")
  if [[ "$candidates[1]" == ":files" ]]; then
    _files
  elif [[ -n "$candidates[1]" ]]; then
    compadd -a candidates
  fi
}
if [[ "$funcstack[1]" == "_varve" ]]; then
  _varve "$@"
else
  compdef _varve varve
fi
`

const fish = `# varve completion for fish
function __varve_complete
  set -l words (commandline -opc)[2..-1] (commandline -ct)
  set -l candidates (varve __complete $words 2>/dev/null)
  if test "$candidates[1]" = ":files"
    __fish_complete_path (commandline -ct)
  else
    printf '%s\\n' $candidates
  end
end
complete -c varve -f -a '(__varve_complete)'
`

export const SCRIPTS = { bash, zsh, fish } as const
