import type { CommandWords } from './words.js';

/** A bash completion function. It is static: completing starts no process. */
export function bashScript(program: string, commands: readonly CommandWords[]): string {
  const fn = `_${program}`;
  return `# bash completion of ${program}
${fn}() {
  local cur=\${COMP_WORDS[COMP_CWORD]} prev=\${COMP_WORDS[COMP_CWORD-1]} command=\${COMP_WORDS[1]}
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${commands.map(({ name }) => name).join(' ')} --help --version" -- "$cur"))
    return
  fi
  case "$command $prev" in
${commands.flatMap(optionValues).join('\n')}
  esac
  case "$command" in
${commands.map(commandCase).join('\n')}
  esac
}
complete -o filenames -F ${fn} ${program}
`;
}

function optionValues({ name, options }: CommandWords): string[] {
  return options.flatMap(({ flags, value }) => {
    if (value === null) return [];
    const patterns = flags.map((flag) => `"${name} ${flag}"`).join('|');
    const words = value.files ? 'compgen -f -- "$cur"' : `compgen -W "${value.words.join(' ')}" -- "$cur"`;
    return [`    ${patterns}) COMPREPLY=($(${words})); return ;;`];
  });
}

function commandCase({ name, options, argument }: CommandWords): string {
  const flags = options.flatMap((option) => option.flags.filter((flag) => flag.startsWith('--'))).join(' ');
  const other = argument.files
    ? 'compgen -f -- "$cur"'
    : `compgen -W "${argument.words.join(' ')}" -- "$cur"`;
  return `    ${name})
      if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "${flags}" -- "$cur"))
      else COMPREPLY=($(${other})); fi ;;`;
}
