import { loadLinux } from '../../src/linux/index.js';
import { TargetError } from '../../src/target/index.js';
import { examineHost } from '../../src/target/kvm/dirty-log.js';

/** Why no guest can be run here, or null. */
export async function whyNoKvm(): Promise<string | null> {
  try {
    examineHost(await loadLinux());
    return null;
  } catch (error) {
    if (error instanceof TargetError || (error as Error).name === 'LinuxError')
      return (error as Error).message;
    throw error;
  }
}
