import { Argument, type Command } from 'commander';

const HELP = `
Examples:
  source <(stopcopy completion bash)                               bash, in ~/.bashrc
  source <(stopcopy completion zsh)                                zsh, in ~/.zshrc
  stopcopy completion fish > ~/.config/fish/completions/stopcopy.fish`;

/** Adds `stopcopy completion`. */
export function addCompletion(program: Command): void {
  program
    .command('completion')
    .description('print a script that completes stopcopy commands in a shell')
    .addArgument(new Argument('<shell>', 'the shell').choices(['bash', 'zsh', 'fish']))
    .addHelpText('after', HELP)
    .action(async (shell: 'bash' | 'zsh' | 'fish') => {
      const { runCompletion } = await import('./completion-run.js');
      await runCompletion(shell, program);
    });
}
