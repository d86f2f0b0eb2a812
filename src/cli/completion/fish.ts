import type { CommandWords, OptionWords } from './words.js';

/** Completions for fish. */
export function fishScript(program: string, commands: readonly CommandWords[]): string {
  const names = commands.map(({ name }) => name).join(' ');
  const none = `not __fish_seen_subcommand_from ${names}`;
  const lines = [
    `# fish completion of ${program}`,
    `complete -c ${program} -f`,
    ...commands.map(
      ({ name, description }) => `complete -c ${program} -n '${none}' -a ${name} -d '${description}'`,
    ),
    ...commands.flatMap((command) => commandLines(program, command)),
  ];
  return `${lines.join('\n')}\n`;
}

function commandLines(program: string, { name, options, argument }: CommandWords): string[] {
  const head = `complete -c ${program} -n '__fish_seen_subcommand_from ${name}'`;
  const words = argument.words.length > 0 ? [`${head} -a '${argument.words.join(' ')}'`] : [];
  return [
    ...(argument.files ? [`${head} -F`] : words),
    ...options.map((option) => `${head} ${optionPart(option)}`),
  ];
}

function optionPart({ flags, description, value }: OptionWords): string {
  const names = flags.map((flag) => (flag.startsWith('--') ? `-l ${flag.slice(2)}` : `-s ${flag.slice(1)}`));
  const values =
    value === null
      ? []
      : value.files
        ? ['-r -F']
        : ['-x', ...(value.words.length > 0 ? [`-a '${value.words.join(' ')}'`] : [])];
  return [...names, `-d '${description}'`, ...values].join(' ');
}
